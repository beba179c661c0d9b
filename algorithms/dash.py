"""FixMatch that keeps images by their loss, below a threshold that falls in the course of training.

Paper: Xu et al. 2021, Dash, arXiv:2109.00650

It has no code of its own: the threshold is the labeler's.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class Dash(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "dash", "mixer": "none"}
