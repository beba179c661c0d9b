"""FixMatch with a curriculum: every class has its own threshold.

Paper: Zhang et al. 2021, FlexMatch, arXiv:2110.08263

It has no code of its own: the curriculum is the labeler's.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class FlexMatch(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "flexmatch", "mixer": "none"}
