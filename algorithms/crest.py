"""FixMatch on more labels: those that the run before is surest of, the more of a class the rarer it is.

Paper: Wei et al. 2021, CReST: A Class-Rebalancing Self-Training Framework for Imbalanced SSL, arXiv:2102.09559

A run is one generation, from scratch: the first is `--algo fixmatch --stages semi`, each later one `--algo crest
--stages semi --set predictions=RUN` of the one before; six are published. For CReST+ all have `--labeler aligned`, with
`labeler.power` 1, 0.9, 0.8, 0.7, 0.6 and 0.5.
"""

from typing import Any

import torch
from torch import Tensor

from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.guided import Voting, mean_of
from sslkit.losses import cross_entropies
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class CReST(PseudoLabeling, Voting):
    """L = mean over labelled and chosen images of H(y, p) + lambda_u mean w_i H(target_i, p(strong_i)).

    Classes are ranked by their labels, the most frequent first. Of the images that are predicted to be of the class of
    rank r the most confident share (n_(C+1-r) / n_1)^alpha is chosen, of the rarest class all. Chosen images are drawn
    with the pool, and weighed so that the expected first term is the mean over both.

    Options:
        alpha: 0 chooses all images, 1 as many as labels are rare.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    whole = False  # `extra` makes outputs of its own
    shares: Tensor  # (C,) which are chosen

    def __init__(self, setup: Setup, *, alpha: float = 1 / 3, **family: Any) -> None:
        super().__init__(setup, **family)
        if alpha < 0:
            raise UserError(f"algo.alpha must be 0 or more, got {alpha}")
        counts, order = setup.class_counts.double().sort(descending=True, stable=True)  # (C,), (C,) class of each rank
        shares = torch.zeros(setup.classes, dtype=torch.float64)
        shares[order] = (counts.flip(0) / counts[0]) ** alpha
        self.register_buffer("shares", shares)

    def follow(self, labeled: Tensor, unlabeled: Tensor) -> None:
        p = mean_of(unlabeled)  # (N_u, C)
        confidence, y = p.max(1)  # (N_u,), (N_u,) int64
        best, known = confidence.argsort(descending=True, stable=True), confidence > 0
        self.of_unlabeled.zero_()
        for c, share in enumerate(self.shares.tolist()):
            own = best[(y[best] == c) & known[best]]
            self.of_unlabeled[own[: round(share * len(own))], c] = 1.0

    def labelled(self) -> Tensor:
        """() share of the labelled images among these and the chosen ones."""
        return len(self.of_labeled) / (len(self.of_labeled) + self.of_unlabeled.sum())

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        return self.labelled() * super().supervised(out, y, step)

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        u = batch["unlabeled"]
        target = self.of_unlabeled[u.index]  # (N, C) rows of 0 where an image is not chosen
        out = step.forward("chosen", self.student, u["weak"])  # with a gradient, which `weak` has not
        weight = self.labelled() * len(self.of_unlabeled) / len(self.of_labeled)  # N_u / (n_l + chosen)
        return {"chosen": weight * cross_entropies(target, out.logits).mean()}
