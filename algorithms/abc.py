"""FixMatch with a second head that sees every class equally often, by drawing which images count; it classifies.

Paper: Lee et al. 2021, ABC: Auxiliary Balanced Classifier for Class-Imbalanced SSL, arXiv:2110.10368

The target of the second head is soft, as published, from one strong view where the paper has two.
"""

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import as_target, cross_entropies
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class ABC(PseudoLabeling):
    """L = FixMatch + mean b(y) H(y, p'(x)) + mean 1[max q >= tau] b_t(argmax q) H(q, p'(strong)), q = sg p'(weak).

    p' is of the second head, whose gradients reach the features. With n the labels of each class and m the fewest,
    b(c) is 1 with probability m / n_c, and b_t(c) with 1 - t (1 - m / n_c), t the share of the steps that are done: at
    first every confident image counts, at last as many of each class as if labels were even. Classes without a label
    count as the rarest.

    Options:
        tau: probability in the second head from which an unlabelled image counts in its term.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    decides = "balanced"
    whole = True
    rarity: Tensor  # (C,) m / n_c

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"balanced": nn.Linear(features, classes)}

    def __init__(self, setup: Setup, *, tau: float = 0.95, **family: Any) -> None:
        super().__init__(setup, **family)
        if not 0 <= tau <= 1:
            raise UserError(f"algo.tau must be in [0, 1], got {tau}")
        self.tau = tau
        counts = setup.class_counts.float()
        fewest = counts[counts > 0].min()
        self.register_buffer("rarity", fewest / counts.clamp_min(fewest))

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        head, x = self.student.added["balanced"], batch["labeled"]
        target = as_target(x.y, labels.target.shape[1])  # (B, C)
        assert x.label is not None
        counts = self._drawn("abc.labeled", self.rarity[x.label], step)  # (B,)
        labeled = (counts * cross_entropies(target, head(out_x.features))).mean()  # ()
        teacher = self.teacher.networks().get("teacher", self.student)  # whose features `weak` has
        with torch.no_grad():
            q = teacher.added["balanced"](weak.features).softmax(1)  # (N, C)
            confidence, y = q.max(1)  # (N,), (N,) int64
            share = 1 - step.index / step.total * (1 - self.rarity[y])  # (N,)
            counts = (confidence >= self.tau) * self._drawn("abc.unlabeled", share, step)  # (N,)
        unlabeled = (counts * cross_entropies(q, head(out_u.features))).mean()  # ()
        return {"balanced": labeled, "balanced_unlabeled": self.strength(step) * unlabeled}

    def _drawn(self, name: str, probability: Tensor, step: Step) -> Tensor:
        """(N,) 1 with the given probabilities, else 0."""
        return (step.uniform(name, *probability.shape, device=probability.device) < probability).float()
