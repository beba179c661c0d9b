"""Fine-tuning with a margin against classes that are learned too well, weighed by a second head that sees no gradient.

Paper: Gan and Wei 2024, Erasing the Bias: Fine-Tuning Foundation Models for SSL, arXiv:2405.11756

Published for CLIP's vision transformer with prompts in every block; here it takes any network, and `--adapt`. Both
heads start from the network's own, which they replace. Counts change after the step.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.algorithms.labelers._last import Learned
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Stream
from sslkit.errors import UserError
from sslkit.losses import cross_entropies, gather, one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


class Cosine(nn.Module):
    """Logits s cos(f, W_c) of features f (N, D), with a learned s."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features))
        self.scale = nn.Parameter(torch.tensor(1 / 0.07))

    def forward(self, features: Tensor) -> Tensor:
        return self.scale * F.linear(F.normalize(features, dim=1), F.normalize(self.weight, dim=1))


@register("algorithm")
class FineSSL(Algorithm):
    """L = H(y, z + m_y) + H(y, z') + lambda_u mean conf' H(g, z + m_g) + mean over the kept of H(smoothed g, z').

    z is of the main head, which classifies, z' of the other one on detached features. m_y is added to all classes but
    y. g is the main head's class of the weak view, conf' the other head's confidence there; z and z' of the last two
    terms are of two strong views. Images are kept whose main confidence reaches tau. With N_c of the pool's images
    that in this epoch were kept as class c, and a_c = N_c / max N:

        m_c = alpha (max a - min a) (1 - a_c) / (1 + a_c)

    Options:
        lambda_u: weight of the third term; published 1 for one label a class.
        alpha: size of the margins.
        tau: confidence from which an image is kept.
        smoothing: what the other classes share of a kept label in the last term.
        epochs: how often in a stage the counts begin anew.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong", "strong2")}
    decides = "main"

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {name: Cosine(features, classes) for name in ("main", "auxiliary")}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 3.0,
        alpha: float = 8.0,
        tau: float = 0.7,
        smoothing: float = 0.5,
        epochs: int = 30,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0 or alpha < 0:
            raise UserError(f"algo.lambda_u and algo.alpha must be 0 or more, got {lambda_u} and {alpha}")
        if not (0 <= tau <= 1 and 0 <= smoothing < 1):
            raise UserError(f"algo.tau must be in [0, 1] and algo.smoothing in [0, 1), got {tau} and {smoothing}")
        if epochs < 1:
            raise UserError(f"algo.epochs must be 1 or more, got {epochs}")
        self.lambda_u, self.alpha, self.tau, self.smoothing = lambda_u, alpha, tau, smoothing
        self.epochs, self.classes = epochs, setup.classes
        self.learned = Learned(setup.unlabeled, setup.classes)
        for network in (setup.student, setup.averaged):
            for head in network.added.values():
                assert isinstance(head, Cosine)
                head.weight.data.copy_(network.classifier().weight)

    def margins(self) -> Tensor:
        """(C,), the margin of every class now."""
        counts = self.learned.counts[:-1]  # (C,)
        a = counts / counts.max().clamp_min(1)  # (C,)
        return self.alpha * (a.max() - a.min()) * (1 - a) / (1 + a)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        with torch.no_grad():
            weak, weak_other = self.both(step.forward("teacher", self.student, u["weak"]))  # (N, C) each
            confidence, y = weak.softmax(1).max(1)  # (N,), (N,) int64
            trust = weak_other.softmax(1).amax(1)  # (N,)
        out_x = step.forward("labeled", self.student, x["weak"])  # features (B, D)
        strong = [step.forward(name, self.student, u[view]) for name, view in (("student", "strong"), ("2", "strong2"))]
        guess, kept = one_hot(y, self.classes), (confidence >= self.tau).to(trust)  # (N, C), (N,)
        off = self.smoothing / (self.classes - 1)
        smooth = guess * (1 - self.smoothing - off) + off  # (N, C)
        terms = self.on_labels(x, out_x)
        pairs = [self.both(out) for out in strong]  # logits (N, C), of each view and head
        lost = torch.stack([cross_entropies(guess, z + self.margin(guess)) for z, _ in pairs]).mean(0)  # (N,)
        terms["unlabeled"] = self.lambda_u * (trust * lost).mean()
        lost = torch.stack([cross_entropies(smooth, z) for _, z in pairs]).mean(0)  # (N,)
        terms["auxiliary_unlabeled"] = (kept * lost).sum() / kept.sum().clamp_min(1)
        # every parameter has a gradient, be it zero: the network's own head is replaced
        terms["supervised"] = terms["supervised"] + 0 * out_x.logits.sum()
        memory = {"index": u.index, "y": torch.where(kept > 0, y, self.classes)}
        return Losses(terms, PseudoLabels(guess, trust, trust), memory)

    def on_labels(self, x: Stream, out: Output) -> dict[str, Tensor]:
        """The terms of labelled images."""
        assert x.label is not None
        z, other = self.both(out)  # (B, C) each
        z = z + self.margin(one_hot(x.label, self.classes))
        return {"supervised": F.cross_entropy(z, x.y), "auxiliary": F.cross_entropy(other, x.y)}

    def both(self, out: Output) -> tuple[Tensor, Tensor]:
        """Logits (N, C) of both heads; the gradient of the second one ends there."""
        with torch.autocast(out.features.device.type, enabled=False):
            return self.student.added["main"](out.features), self.student.added["auxiliary"](out.features.detach())

    def margin(self, hard: Tensor) -> Tensor:
        """(N, C) what is added to logits of one-hot classes (N, C)."""
        return (hard * self.margins()).sum(1, keepdim=True) * (1 - hard)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        index, y = (gather(torch.cat([loss.memory[name] for loss in losses])) for name in ("index", "y"))  # (N,) each
        self.learned.update(index, y)
        if (step.index + 1) % max(1, step.total // self.epochs) == 0:
            self.learned.forget()
