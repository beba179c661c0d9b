"""FixMatch with labels refined over the whole pool, so that classes come out as often as among the labels.

Paper: Kim et al. 2020, Distribution Aligning Refinery of Pseudo-label, NeurIPS, arXiv:2007.08844

It has no code of its own: the labels are the labeler's.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class DARP(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "darp", "mixer": "none"}
