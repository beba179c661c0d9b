"""The sharpened mean prediction for two weak views is their label; labelled and unlabelled images are mixed together.

Paper: Berthelot et al. 2019, MixMatch, arXiv:1905.02249

Weight, ramp and alpha are the defaults of Google's code (weight 150 for CIFAR-100; the paper has weight 75 and alpha
0.75 for CIFAR-10). There the mixed images go through the network in interleaved parts, of which one moves BatchNorm's
statistics; here all go together, so that batch statistics are of labelled and unlabelled images alike. Parts that are
not interleaved make the method fail (google-research/mixmatch, issue 5).
"""

import torch

from sslkit.contracts import Algorithm, Batch, Losses, Mixer, PseudoLabels, Setup, Stream
from sslkit.errors import UserError
from sslkit.losses import all_kept, frozen_stats, one_hot, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class MixMatch(Algorithm):
    """q is proportional to (p(weak) + p(weak2))^(1/T); (x, y), (weak, q), (weak2, q) are mixed to (x', y'), (u', q'):

        L = mean over B of H(y', p(x')) + weight * ramp * mean over 2 N images and C classes of (p(u') - q')^2

    There is no term of unmixed labelled images. One forward of all mixed images moves BatchNorm's statistics.

    Options:
        temperature: T above 0; 1 does not sharpen.
        weight: of the consistency term after its ramp.
        ramp: share of the steps over which the weight rises linearly from 0; 1/64, as published.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "weak2")}
    slots = {"mixer": "mixup"}

    def __init__(
        self, setup: Setup, *, mixer: Mixer, temperature: float = 0.5, weight: float = 100.0, ramp: float = 1 / 64
    ) -> None:
        super().__init__(setup)
        if not temperature > 0:
            raise UserError(f"algo.temperature must be above 0, got {temperature}")
        if weight < 0 or not 0 <= ramp <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.ramp in [0, 1], got {weight} and {ramp}")
        self.mixer, self.classes = mixer, setup.classes
        self.temperature, self.weight, self.ramp = temperature, weight, ramp

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        b, n = len(x.index), len(u.index)
        given, guess = labels_of(x, self.classes), self.guess(u, step)  # of B, of N
        images = torch.cat([x["weak"], u["weak"], u["weak2"]])  # (B + 2 N, 3, H, W)
        mixed = self.mixer.mix(images, joined(given, guess, guess), step)  # M = B + 2 N, or more
        logits = step.forward("student", self.student, mixed.images).logits  # (M, C)
        target, weight = mixed.labels.target, mixed.labels.weight  # (M, C), (M,)
        kept = PseudoLabels(target[:b], weight[:b], mixed.labels.confidence[:b])
        squares = (logits[b:].softmax(1) - target[b:]).square().mean(1)  # (M - B,)
        consistency = self.weight * step.ramp(self.ramp) * (weight[b:] * squares).sum() / (2 * n)  # ()
        return Losses({"supervised": weighted_ce(logits[:b], kept, n=b), "consistency": consistency}, guess)

    @torch.no_grad()
    def guess(self, u: Stream, step: Step) -> PseudoLabels:
        """Labels of N images, each view forwarded by itself; neither moves BatchNorm's statistics."""
        with frozen_stats(self.student):
            p = [step.forward(f"guess.{view}", self.student, u[view]).p for view in ("weak", "weak2")]  # (N, C) each
        target = ((p[0] + p[1]).log() / self.temperature).softmax(1)  # (N, C), halving cancels
        return all_kept(target)


def labels_of(x: Stream, classes: int) -> PseudoLabels:
    """Labels of labelled images (B,), all certain; the rows of what `x` says sum to the weights of classes."""
    assert x.label is not None
    target = one_hot(x.label, classes) if x.target is None else x.target  # (B, C)
    weight = target.sum(1)  # (B,)
    return PseudoLabels(target / weight[:, None], weight, torch.ones_like(weight))


def joined(*labels: PseudoLabels) -> PseudoLabels:
    """Labels of several groups of images, one after another."""
    target, weight, confidence = (
        torch.cat([getattr(one, name) for one in labels]) for name in ("target", "weight", "confidence")
    )
    return PseudoLabels(target, weight, confidence)
