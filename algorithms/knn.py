"""The most similar labelled images vote, each with a weight that grows with its cosine similarity.

Paper: Caron et al. 2021, DINO, arXiv:2104.14294

Published with k 20 and T 0.07, which are the defaults; k is at most the number of labelled images.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.registry import register

FLOOR = 1e-6  # share of the votes that a class without any is given, so that its logit is finite
BLOCK = 2**22  # similarities in memory at once


@register("algorithm")
class KNN(OnFeatures):
    """Score of class c: sum of exp(cos / T) over those of the k nearest labelled images that are of class c.

    Logits are the logarithms of the scores' shares. Of images that are equally similar those of the lower class are
    nearer, and of equal scores the lower class wins: the order of the labelled images has no say.

    Options:
        k: images that vote, at most as many as are labelled; None is 20, or all where there are fewer.
        temperature: T above 0; towards 0 the nearest image decides alone, at large values votes are counted.
    """

    bank: Tensor  # (n, D), unit rows, sorted by class
    label: Tensor  # (n,) int64, ascending

    def __init__(self, setup: Setup, *, k: int | None = None, temperature: float = 0.07) -> None:
        super().__init__(setup)
        n = setup.labeled
        if k is not None and not 1 <= k <= n:
            raise UserError(f"algo.k={k} must be from 1 to the number of labelled images, {n}")
        if not temperature > 0:
            raise UserError(f"algo.temperature must be above 0, got {temperature}")
        self.classes, self.k, self.temperature = setup.classes, k or min(20, n), temperature
        self.register_buffer("bank", torch.zeros(n, setup.student.feature_dim))
        self.register_buffer("label", torch.zeros(n, dtype=torch.int64))

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        order = label.argsort(stable=True)
        self.bank.copy_(F.normalize(labeled)[order])
        self.label.copy_(label[order])

    def classify(self, features: Tensor) -> Tensor:
        rows = max(1, BLOCK // len(self.bank))
        return torch.cat([self._classify(F.normalize(block)) for block in torch.split(features, rows)])

    def _classify(self, features: Tensor) -> Tensor:
        similar = features @ self.bank.T  # (N, n)
        nearest = similar.topk(self.k).values
        last = nearest[:, -1:]
        tied = similar == last
        room = self.k - (similar > last).sum(1, keepdim=True)
        votes = (similar > last) | (tied & (tied.cumsum(1) <= room))  # the bank is sorted: lower classes come first
        weight = ((similar - nearest[:, :1]) / self.temperature).exp() * votes
        score = weight @ F.one_hot(self.label, self.classes).to(weight)  # (N, C)
        return (score / score.sum(1, keepdim=True)).clamp_min(FLOOR).log()
