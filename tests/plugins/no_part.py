"""A plug-in that registers something which is no mixer at all."""

from sslkit import register


@register("mixer", "no_part")
class NoPart:
    """Takes no setup."""
