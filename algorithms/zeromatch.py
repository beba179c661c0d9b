"""AdaMatch with a second head that learns more and more what a foundation model says of each image.

Paper: Chung and Chen 2025, Enhancing Semi-supervised Learning with Zero-shot Pseudolabels, arXiv:2502.12584

`--set predictions=FILE` has the model's classes. The paper's stage before this one, which learns them alone, is a run
of its own: `--algo vpet --stages semi` with the same file, then `--algo zeromatch --stages semi --weights RUN`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.algorithms.adamatch import AdaMatch
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.guided import Voting
from sslkit.losses import cross_entropies, frozen_stats
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class ZeroMatch(AdaMatch, Voting):
    """L = AdaMatch + lambda (t / K) mean H(f, p'(x and u)), f the class that the given networks vote for.

    The mean is over the labelled and unlabelled weak views of a step; an image without a prediction counts as 0. p' is
    of the second head, whose gradients reach the features. AdaMatch's statistics of BatchNorm stay as they are.

    Options:
        lambda_zero: lambda.
    """

    whole = False  # `extra` makes outputs of its own

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"zero_shot": nn.Sequential(nn.Linear(features, classes))}  # fresh: not a copy of the network's own

    def __init__(self, setup: Setup, *, lambda_zero: float = 1.0, **family: Any) -> None:
        super().__init__(setup, **family)
        if lambda_zero < 0:
            raise UserError(f"algo.lambda_zero must be 0 or more, got {lambda_zero}")
        self.lambda_zero = lambda_zero

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        x, u = batch["labeled"], batch["unlabeled"]
        with frozen_stats(self.student):
            out_w = step.forward("zero_shot", self.student, u["weak"])  # with a gradient, which `weak` has not
        target = torch.cat([self.of_labeled[x.index], self.of_unlabeled[u.index]])  # (B + N, C)
        features = torch.cat([out_x.features, out_w.features])  # (B + N, D)
        logits = self.student.added["zero_shot"](features).float()
        rise = step.index / step.total
        return {"zero_shot": self.lambda_zero * rise * cross_entropies(target, logits).mean()}
