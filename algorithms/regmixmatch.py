"""FreeMatch that also learns from strong views with another one pasted in: sure into sure ones, and into unsure ones.

Paper: Han et al. 2025, RegMixMatch, arXiv:2412.10741

Scales and places of boxes are drawn for each image, as partners are; the authors' code draws one box a batch. There the
weight of an unsure image is the mean of all; here it is the image's own, as the paper has it.
"""

from typing import Any

import torch
from torch import Tensor

from sslkit.algorithms._resizemix import resizemix
from sslkit.algorithms.freematch import FreeMatch
from sslkit.algorithms.mixers.pseudo import cycle
from sslkit.algorithms.mixmatch import labels_of
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register

MANY = 100  # labels a class from which on labelled images are mixed, too


@register("algorithm")
class RegMixMatch(FreeMatch):
    """L = FreeMatch's + lambda_u (L_sure + L_unsure), with V the images whose max p(weak_i) is at least `sure`.

    Every strong view gets a partner by ResizeMix, of scale 0.1 + 0.7 sqrt(beta) with beta ~ Beta(alpha, alpha); s_i is
    the share of its own that is left, y the one-hot label of a labelled image or of an image of V, z'_i of the mixture:

        V: partner in V, alpha 1,   L_sure = 1 / N sum_i H(s_i y_i + (1 - s_i) y_j, softmax(z'_i))
        others: alpha 16,           L_unsure = mean_i (max p_i)^3 mean_c (softmax(z'_i) - s_i p_i - (1 - s_i) y_j)^2

    The partner of the others is labelled or of V: with probability 1/2, drawn for the batch, one of the same class, or
    none where there is none; else any. From 100 labels a class on labelled images are mixed with those of V, and count
    in L_sure, too. All mixtures are one forward.

    Options:
        sure: least confidence of images of V; published: 0.999 for CIFAR-10, 0.99 for CIFAR-100.
        lambda_c: weight of L_unsure; published: 1, for CIFAR-100 0.
    """

    defaults = {"algo.lambda_f": 0.01}

    def __init__(self, setup: Setup, *, sure: float = 0.999, lambda_c: float = 1.0, **freematch: Any) -> None:
        super().__init__(setup, **freematch)
        if not 0 <= sure <= 1 or lambda_c < 0:
            raise UserError(f"algo.sure must be in [0, 1] and algo.lambda_c 0 or more, got {sure} and {lambda_c}")
        self.sure, self.lambda_c, self.classes = sure, lambda_c, setup.classes
        self.many = setup.labeled >= MANY * setup.classes

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        x, u = batch["labeled"], batch["unlabeled"]
        b, n = len(x.index), len(u.index)
        images = torch.cat([x["weak"], u["strong"]])  # (B + N, 3, H, W)
        p, v = weak.p, labels.confidence >= self.sure  # (N, C), (N,) bool
        y = torch.cat([labels_of(x, self.classes).target, one_hot(p.argmax(1), self.classes).to(p)])  # (B + N, C)
        own = torch.cat([y[:b], torch.where(v[:, None], y[b:], p)])  # (B + N, C)
        known = torch.ones(b, dtype=torch.bool, device=v.device)  # (B,)
        mixing = torch.cat([known if self.many else ~known, v])  # (B + N,) bool
        partner, scale = self.drawn(mixing, torch.cat([known, v]), y, step)  # (B + N,) each
        draws = step.uniform("resizemix.box", 4, b + n, device=v.device)  # (4, B + N)
        mixed, share = resizemix(images, partner, scale, draws)  # (B + N, 3, H, W), (B + N,)
        target = torch.lerp(y[partner], own, share[:, None].to(y))  # (B + N, C)
        rows = slice(0 if self.many else b, None)
        z = step.forward("mixed", self.student, mixed[rows]).logits  # (B + N, C) or (N, C)
        lost = -(target[rows] * z.log_softmax(1)).sum(1)  # of as many
        squares = (z[-n:].softmax(1) - target[b:]).square().mean(1)  # (N,)
        sure = (mixing[rows] * lost).sum() / n  # ()
        unsure = (~v * labels.confidence**3 * squares).sum() / (~v).sum().clamp_min(1)  # ()
        strength = self.strength(step)
        terms = {"sure": strength * sure, "unsure": strength * self.lambda_c * unsure}
        return super().extra(out_x, weak, out_u, labels, batch, step) | terms

    def drawn(self, mixing: Tensor, sure: Tensor, y: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Partners and scales (B + N,) of all images.

        Args:
            mixing: (B + N,) bool, who is mixed with each other.
            sure: (B + N,) bool, whom all others are mixed with.
            y: (B + N, C) one-hot labels.
        """
        m, device, label = len(y), y.device, y.argmax(1)
        same = step.uniform("resizemix.same", 1, device=device) < 0.5  # (1,) bool
        allowed = sure & (~same | (label == label[:, None]))  # (B + N, B + N) bool
        any_of = torch.where(allowed, step.uniform("resizemix.any", m, m, device=device), -1).argmax(1)  # (B + N,)
        partner = torch.where(mixing, cycle(mixing, step.uniform("resizemix.pair", m, device=device)), any_of)
        large, middle = (
            step.beta(f"resizemix.{alpha:g}", alpha, m, device=device) for alpha in (1.0, 16.0)
        )  # (B + N,)
        scale = 0.1 + 0.7 * torch.where(mixing, large, middle).sqrt()  # (B + N,)
        return partner, scale * (mixing | allowed.any(1))
