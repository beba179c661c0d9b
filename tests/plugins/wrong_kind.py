"""A plug-in that misspells the kind of its part."""

from sslkit import register


@register("mixxer")
class Wrong:
    pass
