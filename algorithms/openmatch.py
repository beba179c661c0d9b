"""FixMatch on those images of the pool that a detector of their class, one for each class, takes for their own.

Paper: Saito et al. 2021, OpenMatch: Open-set Consistency Regularization with Outliers, arXiv:2105.14148

The pool may have classes without a label. A rejected image stays in its batch, with weight 0: the gradient of a kept
image is the same, but published batches are refilled with kept ones. An epoch is a pass over the pool where published
code has 1024 steps. The supervised term is of the first of two weak views. Published with WRN-28-2, mu 2.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslkit.algorithms._one_vs_all import OneVsAll, by_own_detector, entropy, one_vs_all
from sslkit.average import Average
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Trainer
from sslkit.errors import UserError
from sslkit.losses import as_target, cross_entropy, images_a_step, joint_forward, one_hot, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register

BLOCK = 8192  # images of the pool that the detectors see at once


@register("algorithm")
class OpenMatch(Algorithm):
    """L = H(y, p(x)) + L_ova + lambda_em L_em + lambda_socr L_socr + lambda_u mean k [max p >= tau] H(ŷ, p(strong)).

    o_c are the detectors' probabilities that an image is of class c. L_ova, of two weak views of labelled images, and
    L_em, of two of unlabelled ones, are means over views; ŷ and p in [] are of the first:

        L_ova = mean of -log o_y + max_{c not y} -log(1 - o_c)
        L_em = mean over images and classes of the entropy of (o_c, 1 - o_c)
        L_socr = mean over images of sum_c 2 (o_c - o'_c)^2, o and o' of both views

    k is 1 where the averaged network gave o_c > 1/2 to its own likeliest class c, in the last pass over the pool; there
    is none, and no last term, in the first steps.

    Options:
        lambda_u: weight of the last term.
        lambda_em, lambda_socr: weights; published lambda_socr is 1 for CIFAR-100.
        tau: probability from which an image is kept; published code keeps every image that is not rejected.
        wait: share of the steps before the first selection. Published: 10 of 512 epochs.
    """

    views = {"labeled": ("weak", "weak2"), "unlabeled": ("weak", "weak2", "strong")}
    known: Tensor  # (N_u,) k

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"ova": OneVsAll(features, classes)}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        lambda_em: float = 0.1,
        lambda_socr: float = 0.5,
        tau: float = 0.0,
        wait: float = 0.02,
    ) -> None:
        super().__init__(setup)
        for name, value in (("lambda_u", lambda_u), ("lambda_em", lambda_em), ("lambda_socr", lambda_socr)):
            if value < 0:
                raise UserError(f"algo.{name} must be 0 or more, got {value}")
        if not 0 <= tau <= 1 or not 0 <= wait <= 1:
            raise UserError(f"algo.tau and algo.wait must be in [0, 1], got {tau} and {wait}")
        self.lambda_u, self.lambda_em, self.lambda_socr = lambda_u, lambda_em, lambda_socr
        self.tau, self.wait, self.classes = tau, wait, setup.classes
        self.average = Average(setup.averaged, setup.decay, setup.buffers)  # it is the one that is reported
        self.register_buffer("known", torch.ones(setup.unlabeled))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        views = x["weak"], x["weak2"], u["weak"], u["weak2"]
        outs = joint_forward("student", self.student, step, *views)  # features (B, D) twice, (N, D) twice
        strong = step.forward("strong", self.student, u["strong"])  # logits (N, C)
        target = as_target(x.y, self.classes)  # (B, C)
        with torch.autocast(u.index.device.type, enabled=False):
            d_x, d_x2, d, d2 = (self.student.added["ova"](out.features) for out in outs)  # (B, C) and (N, C), twice
            apart = 2 * (d.sigmoid() - d2.sigmoid()).square().sum(1).mean()  # ()
            own = (one_vs_all(d_x, target) + one_vs_all(d_x2, target)) / 2  # ()
            unsure = (entropy(d) + entropy(d2)) / 2  # ()
        confidence, y = outs[2].p.detach().max(1)  # (N,), (N,) int64
        weight = self.known[u.index] * (confidence >= self.tau)  # (N,)
        labels = PseudoLabels(one_hot(y, self.classes), weight, confidence)
        strength = self.lambda_u * (step.index >= self.wait * step.total)
        terms = {
            "supervised": cross_entropy(outs[0], x.y),
            "ova": own,
            "entropy": self.lambda_em * unsure,
            "agreement": self.lambda_socr * apart,
            "unlabeled": strength * weighted_ce(strong.logits, labels, n=len(u.index)),
        }
        return Losses(terms, labels)

    def train_step(self, trainer: Trainer, batches: Sequence[Batch], steps: Sequence[Step]) -> list[Losses]:
        seen = images_a_step(batches)
        after = steps[0].index - self.wait * steps[0].total  # steps since the first selection was due
        if after >= 0 and int(after) % -(-len(self.known) // seen) == 0:
            self.select(trainer)
        return super().train_step(trainer, batches, steps)

    @torch.no_grad()
    def select(self, trainer: Trainer) -> None:
        """Set k for the whole pool."""
        network = self.average.network
        out = trainer.encode(network, "unlabeled")  # logits (N_u, C), features (N_u, D)
        blocks = (part.to(self.known.device) for part in torch.split(out.features, BLOCK))
        d = torch.cat([network.added["ova"](part).cpu() for part in blocks])  # (N_u, C)
        self.known.copy_(d.gather(1, out.logits.argmax(1, keepdim=True))[:, 0] > 0)

    def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        out = network(images)
        return by_own_detector(out.logits, network.added["ova"](out.features))

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.average.update(self.student)
