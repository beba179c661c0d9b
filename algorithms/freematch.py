"""FixMatch whose thresholds follow the predictions, with a term that keeps these fair to all classes.

Paper: Wang et al. 2023, FreeMatch, arXiv:2205.07246

The thresholds are the labeler's.
"""

from typing import Any

import torch
from torch import Tensor

from sslkit.algorithms.labelers.freematch import FreeMatch as Thresholds
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class FreeMatch(PseudoLabeling):
    """L = FixMatch's + lambda_f sum_c a_c log b_c, a = norm(mean / shares), b = norm(mean_s / shares_s).

    `mean` and `shares` are the labeler's running means of weak predictions and of their classes; those with s are of
    the strong predictions for the kept images of the batch. The sign is as published: the term is least where b is far
    from a. No image kept: 0. A class that nobody predicts has no part. The gradient is that of mean_s alone.

    Options:
        lambda_f: weight of the fairness term.
    """

    slots = {"teacher": "self", "labeler": "freematch", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, *, lambda_f: float = 0.001, **family: Any) -> None:
        super().__init__(setup, **family)
        if not isinstance(self.labeler, Thresholds):
            raise UserError("freematch's fairness term needs the running means of --labeler freematch")
        if lambda_f < 0:
            raise UserError(f"algo.lambda_f must be 0 or more, got {lambda_f}")
        self.lambda_f = lambda_f

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        assert isinstance(self.labeler, Thresholds)
        kept = labels.weight[:, None]  # (N, 1) 0 or 1
        count = kept.sum()  # ()
        p = out_u.p  # (N, C)
        mean = (kept * p).sum(0) / count.clamp_min(1)  # (C,)
        shares = (kept * one_hot(p.argmax(1), p.shape[1])).sum(0) / count.clamp_min(1)  # (C,)
        a = _normed(self.labeler.mean, self.labeler.shares)  # (C,)
        b = _normed(mean, shares)  # (C,)
        fairness = torch.where(count > 0, (a * (b + 1e-12).log()).sum(), 0.0)  # ()
        return {"fairness": self.lambda_f * fairness}


def _normed(mean: Tensor, shares: Tensor) -> Tensor:
    """(C,) mean / shares, brought to the sum 1; 0 where the share is."""
    scaled = torch.where(shares > 0, mean / torch.where(shares > 0, shares, 1), 0)  # (C,)
    return scaled / scaled.sum().clamp_min(1e-12)
