"""One detector for each class: is an image of it, or not?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class OneVsAll(nn.Module):
    """d (N, C) of features (N, D): o_c = sigmoid(d_c) is the probability that an image is of class c.

    d_c is the difference of two logits, for and against, without a bias: two weights, so that it learns as published.
    """

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.pairs = nn.Linear(dim, 2 * classes, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        against, favour = self.pairs(features).chunk(2, 1)  # (N, C) each
        d: Tensor = favour - against
        return d


def one_vs_all(d: Tensor, target: Tensor) -> Tensor:
    """Mean of -log o_y + max over c other than y of -log(1 - o_c), a scalar, of d (B, C) and targets (B, C).

    Rows that are not one-hot are the sums of what their classes would give.
    """
    best, at = d.topk(2, 1)  # (B, 2) each
    own = torch.arange(d.shape[1], device=d.device) == at[:, :1]  # (B, C) bool
    hardest = torch.where(own, best[:, 1:], best[:, :1])  # (B, C) the largest d of another class
    return -(target * (F.logsigmoid(d) + F.logsigmoid(-hardest))).sum(1).mean()


def by_own_detector(logits: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """`Algorithm.open_set` of logits and d (N, C): -d_y of the likeliest class y, rejected where o_y <= 1/2."""
    y = logits.argmax(1)  # (N,) int64
    own = d.gather(1, y[:, None])[:, 0]  # (N,)
    return -own, torch.where(own > 0, y, logits.shape[1])


def entropy(d: Tensor) -> Tensor:
    """Mean entropy of the detectors' answers, a scalar, of d (N, C)."""
    o = d.sigmoid()  # (N, C)
    return -(o * F.logsigmoid(d) + (1 - o) * F.logsigmoid(-d)).mean()
