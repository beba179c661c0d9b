"""The linear probe labels those images of the pool that it is surest of, in rounds, and is fitted again with them.

Paper: Yarowsky 1995, Unsupervised Word Sense Disambiguation Rivaling Supervised Methods, ACL

A label once given stays. Each round takes as many images of each predicted class, so that no class floods the others.
The head at the end is that of `linear` on all labels, those given included.
"""

import torch
from torch import Tensor

from sslkit import logistic
from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.frozen import LinearHead
from sslkit.losses import one_hot
from sslkit.registry import register


@register("algorithm")
class SelfTraining(LinearHead):
    """Rounds of logistic regression on labelled and self-labelled images.

    Options:
        k_best: images that a round labels in each class, those of the highest probability; fewer where fewer are left
            that are predicted to be of the class.
        rounds: at most; they end when the pool is used up.
        C: weight of the labels against the penalty, as `linear` has it.
    """

    views = {"labeled": (), "unlabeled": ()}
    weighs = True  # labels that were given; those that it gives itself count 1

    def __init__(self, setup: Setup, *, k_best: int = 10, rounds: int = 10, C: float = logistic.C) -> None:
        super().__init__(setup)
        if k_best < 1:
            raise UserError(f"algo.k_best is a number of images and must be 1 or more, got {k_best}")
        if rounds < 0:
            raise UserError(f"algo.rounds must be 0 or more, got {rounds}")
        self.k_best, self.rounds, self.C = k_best, rounds, logistic.check("algo.C", C)

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        features, y, rest = labeled, self.targets(label), torch.arange(len(unlabeled))  # y (n, C)
        self._learn(features, y)
        for _ in range(self.rounds):
            if not len(rest):
                break
            confidence, predicted = self.classify(unlabeled[rest]).softmax(1).max(1)  # (N,), (N,) int64
            taken = best_of_each(confidence, predicted, self.k_best)
            features = torch.cat([features, unlabeled[rest[taken]]])
            y = torch.cat([y, one_hot(predicted[taken], len(self.bias))])
            rest = rest[~torch.isin(torch.arange(len(rest)), taken)]
            self._learn(features, y)

    def _learn(self, features: Tensor, y: Tensor) -> None:
        weight, bias = logistic.probe(features, y, len(self.bias), self.C)
        self.weight.copy_(weight)
        self.bias.copy_(bias)


def best_of_each(confidence: Tensor, predicted: Tensor, k: int) -> Tensor:
    """Places (K,) int64 of the k most confident of each predicted class; of equals the earlier ones."""
    falling = confidence.argsort(descending=True, stable=True)
    return torch.cat([falling[predicted[falling] == c][:k] for c in sorted(set(predicted.tolist()))])
