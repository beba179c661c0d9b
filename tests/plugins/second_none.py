"""A plug-in whose part has the name of a built-in one."""

from sslkit import register
from sslkit.contracts import Mixer


@register("mixer", "none")
class Second(Mixer):
    """Another `none`."""
