"""The confident label of the weak view is the target of the strong view.

Paper: Sohn et al. 2020, FixMatch, arXiv:2001.07685

The default step as it stands. Published with WRN-28-2: tau 0.95, lambda_u 1, mu 7, one joint forward
(`--set algo.joint=true`); here labelled, weak and strong views are forwarded separately unless asked.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class FixMatch(PseudoLabeling):
    multilabel = True
    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
