"""FixMatch in which every image counts, the less the less confident it is.

Paper: Chen et al. 2023, SoftMatch, arXiv:2301.10921

It has no code of its own: the weights are the labeler's.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class SoftMatch(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "softmatch", "mixer": "none"}
