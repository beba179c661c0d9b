"""MixMatch with aligned labels from one weak view, strong views that they are the targets of, and a head for rotations.

Paper: Berthelot et al. 2020, ReMixMatch, arXiv:1911.09785

With two strong views, as TorchSSL and USB have it for the cost; the paper has eight. Predictions are aligned by a
running mean; Google's code has the mean of the last 128 batches. All mixed images go through the network together, as
they do in `mixmatch`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from sslkit.algorithms._rotation import QUARTERS, rotated
from sslkit.algorithms.labelers._running import Alignment, momentum_of
from sslkit.algorithms.mixmatch import MixMatch, joined, labels_of
from sslkit.contracts import Batch, Losses, PseudoLabels, Setup, Stream
from sslkit.errors import UserError
from sslkit.losses import all_kept, frozen_stats, gather, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class ReMixMatch(MixMatch):
    """q is proportional to a^(1/T), with a the prediction for the weak view, aligned with the shares of the labels.

    (x, y), (strong, q), (strong2, q), (weak, q) are mixed to (x', y'), (u', q'); r is by how many quarters, drawn for
    each image, strong is turned. With the means over B, 3 N, N and N images:

        L = H(y', p(x')) + ramp (weight H(q', p(u')) + unmixed H(q, p(strong))) + rotation H(r, head(turned))

    There is no term of unmixed labelled images. One forward of all mixed images moves BatchNorm's statistics.

    Options:
        weight: of the term of mixed unlabelled images after its ramp.
        unmixed: of that of the first strong view as it is, after the same ramp.
        rotation: of that of the rotations, which has no ramp.
        momentum: of the running mean; None is `eval.decay`. Published: 0.999, for a million steps.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}
    defaults = {"mixer.alpha": 0.75}

    def __init__(
        self,
        setup: Setup,
        *,
        weight: float = 1.5,
        unmixed: float = 0.5,
        rotation: float = 0.5,
        momentum: float | None = None,
        **mixmatch: Any,
    ) -> None:
        super().__init__(setup, weight=weight, **mixmatch)
        if unmixed < 0 or rotation < 0:
            raise UserError(f"algo.unmixed and algo.rotation must be 0 or more, got {unmixed} and {rotation}")
        self.unmixed, self.rotation = unmixed, rotation
        self.align = Alignment(setup, "prior", momentum_of(momentum, setup, "algo.momentum"))
        self.head = nn.Linear(setup.student.feature_dim, QUARTERS)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, S, S) and (N, 3, S, S)
        b, n = len(x.index), len(u.index)
        guess = self.guess(u, step)  # of N
        images = torch.cat([x["weak"], u["strong"], u["strong2"], u["weak"]])  # (B + 3 N, 3, S, S)
        mixed = self.mixer.mix(images, joined(labels_of(x, self.classes), guess, guess, guess), step)  # M images
        logits = step.forward("student", self.student, mixed.images).logits  # (M, C)
        own, others = (part_of(mixed.labels, rows) for rows in (slice(b), slice(b, None)))  # of B, of M - B
        quarters = (QUARTERS * step.uniform("rotation", n, device=u.index.device)).long()  # (N,)
        with frozen_stats(self.student):
            plain = step.forward("unmixed", self.student, u["strong"]).logits  # (N, C)
            turned = step.forward("rotation", self.student, rotated(u["strong"], quarters)).features  # (N, D)
        with torch.autocast(turned.device.type, enabled=False):
            told = self.head(turned)  # (N, 4)
        ramp = step.ramp(self.ramp)
        terms = {
            "supervised": weighted_ce(logits[:b], own, n=b),
            "mixed": self.weight * ramp * weighted_ce(logits[b:], others, n=3 * n),
            "unmixed": self.unmixed * ramp * weighted_ce(plain, guess, n=n),
            "rotation": self.rotation * F.cross_entropy(told, quarters),
        }
        return Losses(terms, guess)

    @torch.no_grad()
    def guess(self, u: Stream, step: Step) -> PseudoLabels:
        """Labels of N images; the forward does not move BatchNorm's statistics."""
        with frozen_stats(self.student):
            p = step.forward("guess", self.student, u["weak"]).p  # (N, C)
        target = (self.align(p).log() / self.temperature).softmax(1)  # (N, C)
        return replace(all_kept(target), memory={"p": p})

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        p = gather(torch.cat([loss.labels.memory["p"] for loss in losses if loss.labels]))  # (N, C) of the global batch
        self.align.update(p, p, step)


def part_of(labels: PseudoLabels, rows: slice) -> PseudoLabels:
    """Labels of some rows."""
    return PseudoLabels(labels.target[rows], labels.weight[rows], labels.confidence[rows])
