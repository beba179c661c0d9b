"""FixMatch that also learns which classes an image is not of, and evens out the classes that it may be of.

Paper: Chen et al. 2023, Boosting Semi-Supervised Learning by Exploiting All Unlabeled Data, arXiv:2303.11066

k is of the images of one micro-batch; published code takes it of those of all processes. With `--labeler flexmatch` it
is the paper's FullFlex.
"""

from typing import Any

import torch
from torch import Tensor

from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class FullMatch(PseudoLabeling):
    """L = FixMatch's + lambda_u (L_negative + L_meaning), of all images and of the kept ones.

    k is the least number from 2 on with the likeliest class of every weak view among the k likeliest of its strong one.
    O_i are the classes outside the k likeliest of weak view i, R_i all others but its likeliest, y_i. With p_i of the
    strong view, and in both terms only where p_ic <= cap:

        L_negative = 1 / (mu B) sum_i sum_{c in O_i} -log(1 - p_ic)
        L_meaning = mean over c in R_i of binary H(t_i, p_ic),  t_i = (1 - p_iy - sum_{c in O_i} p_ic) / (k - 1)

    The gradient goes through t_i, too, as in the authors' code. Of two classes O_i is empty.

    Options:
        cap: larger probabilities are left alone; published as tau squared, with tau 0.95.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, *, cap: float = 0.9025, **family: Any) -> None:
        super().__init__(setup, **family)
        if not 0 < cap < 1:
            raise UserError(f"algo.cap must be in (0, 1), got {cap}")
        self.cap = cap

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        k, place = ranked(weak.logits, out_u.logits.detach())  # (), (N, C)
        p, log_p = out_u.p, out_u.logits.log_softmax(1)  # (N, C) each
        low, outside, first = p <= self.cap, place >= k, place == 0  # (N, C) bool each
        log_not = (-torch.where(low, p, 0)).log1p()  # (N, C), finite, as is its gradient
        negative = -(log_not * outside).sum(1).mean()  # ()
        t = (1 - (p * (outside | first)).sum(1, keepdim=True) + 1e-7) / (k - 1)  # (N, 1)
        chosen = (low & ~outside & ~first) * labels.weight.gt(0)[:, None]  # (N, C) bool
        meaning = -(chosen * (t * log_p + (1 - t) * log_not)).sum() / chosen.sum().clamp_min(1)  # ()
        strength = self.strength(step)
        return {"negative": strength * negative, "meaning": strength * meaning}


def ranked(weak: Tensor, strong: Tensor) -> tuple[Tensor, Tensor]:
    """k () and the places (N, C) of classes in the order of weak logits (N, C), the likeliest at 0."""
    order = weak.argsort(dim=1, descending=True, stable=True)  # (N, C) classes
    place = order.argsort(1)  # (N, C)
    of_likeliest = strong.gather(1, order[:, :1])  # (N, 1)
    before = (strong > of_likeliest).sum(1)  # (N,) classes that are likelier in the strong view
    return (before.max() + 1).clamp_min(2), place
