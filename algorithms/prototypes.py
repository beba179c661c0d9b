"""A mean for each class on the unit sphere, moved by the pool: soft k-means with the labels held.

Paper: Ren et al. 2018, Meta-Learning for Semi-Supervised Few-Shot Classification, arXiv:1803.00676

There squared distances, here cosines and a temperature. One round, as there: on features of photographs more rounds
drift from the classes to what else is in clusters. Without a pool it is the nearest class mean.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.registry import register

BLOCK = 2**22  # numbers of the pool's features in float64 at once


@register("algorithm")
class Prototypes(OnFeatures):
    """q_i proportional to exp(f_i·c / T) on the pool, one-hot on labelled images; c_k = Σ_i q_ik f_i at unit length.

    Logits are f·c / T with unit f. A class without a label has no prototype: its logit is the lowest possible, -1 / T.

    Options:
        temperature: T above 0; towards 0 each image of the pool moves its nearest prototype alone.
        rounds: of labelling the pool and moving the prototypes.
    """

    views = {"labeled": (), "unlabeled": ()}
    prototypes: Tensor  # (C, D), unit rows; zeros for a class without a label

    def __init__(self, setup: Setup, *, temperature: float = 0.04, rounds: int = 1) -> None:
        super().__init__(setup)
        if not temperature > 0:
            raise UserError(f"algo.temperature must be above 0, got {temperature}")
        if rounds < 0:
            raise UserError(f"algo.rounds must be 0 or more, got {rounds}")
        self.temperature, self.rounds = temperature, rounds
        self.register_buffer("prototypes", torch.zeros(setup.classes, setup.student.feature_dim))

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        shown = F.one_hot(label, len(self.prototypes)).float()  # (n, C)
        own = shown.T @ F.normalize(labeled)  # (C, D)
        self.prototypes.copy_(F.normalize(own))
        for _ in range(self.rounds):
            moved = own.double()
            for block in torch.split(unlabeled, max(1, BLOCK // labeled.shape[1])):
                q = self.classify(block).softmax(1) * shown.amax(0)  # (N, C)
                moved += q.T @ F.normalize(block)
            self.prototypes.copy_(F.normalize(moved))

    def classify(self, features: Tensor) -> Tensor:
        cosine = F.normalize(features) @ self.prototypes.T  # (N, C)
        return torch.where(self.prototypes.any(1), cosine, -1) / self.temperature
