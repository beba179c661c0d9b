"""Semi-ViT's third stage: the averaged student labels the weak views, strong views are mixed by confidence.

Paper: Cai et al. 2022, Semi-ViT, arXiv:2208.05688

Published for ViT-B on 1% of ImageNet: tau 0.6, lambda_u 5, mu 5, EMA decay 0.9999, smoothed targets when mixing.
Without a mixer the official code does not smooth: that is `--mixer none --set labeler.smoothing=0`, and `--mixer none`
alone keeps 0.1. The decay here follows `eval.decay`, a memory of 10% of the steps, as 0.9999 needs 100,000 of them.
"""

from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class EMATeacher(PseudoLabeling):
    multilabel = True
    slots = {"teacher": "ema", "labeler": "threshold", "mixer": "prob_pseudo"}
    defaults = {"labeler.tau": 0.6, "labeler.smoothing": 0.1, "algo.lambda_u": 5.0, "semi.mu": 5}
