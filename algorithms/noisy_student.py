"""The network that the stage starts from labels the pool once, without noise; the student learns these labels with it.

Paper: Xie et al. 2020, Self-training with Noisy Student, arXiv:1911.04252

A stage is one generation. Published students start anew, and may be larger: `--set predictions=RUN` has the labels of a
run before, its teacher. Without it the student goes on from its teacher's weights, and `--weights RUN --stages semi` is
the next generation. Noise is the strong view, and `backbone.drop_path`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.contracts import Batch, Losses, PseudoLabels, Setup, Trainer
from sslkit.errors import UserError
from sslkit.guided import Guided, mean_of
from sslkit.losses import cross_entropy, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class NoisyStudent(Guided):
    """L = H(y, p(x)) + lambda_u mean w_i H(q_i, p(strong_i)), q_i = softmax(z_i / temperature) of the teacher.

    The teacher is what `predictions` names, else the average that the stage starts from; z_i is of image i as it is.
    Images whose largest probability is at least tau are kept. With `balance` each class then has as many as the mean of
    the classes, m: of a class with more the m most confident ones count, and where there are n < m, each counts m / n
    times, as published by showing it so often.

    Options:
        lambda_u: weight of the second term; published for SVHN, where it makes every image count the same.
        tau: confidence from which an image is kept.
        temperature: of the labels; 1 leaves them as they are.
        balance: whether all classes have as many labels.
    """

    views = {"labeled": ("weak",), "unlabeled": ("strong",)}
    needs = False
    target: Tensor  # (N_u, C)
    weight: Tensor  # (N_u,)
    confidence: Tensor  # (N_u,)

    def __init__(
        self, setup: Setup, *, lambda_u: float = 5.0, tau: float = 0.3, temperature: float = 1.0, balance: bool = True
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0:
            raise UserError(f"algo.lambda_u must be 0 or more, got {lambda_u}")
        if not 0 <= tau <= 1 or not temperature > 0:
            raise UserError(f"algo.tau must be in [0, 1] and algo.temperature above 0, got {tau} and {temperature}")
        self.lambda_u, self.tau, self.temperature, self.balance = lambda_u, tau, temperature, balance
        self.average = Average(setup.averaged, setup.decay, setup.buffers)  # the one that is evaluated
        even = torch.full((setup.unlabeled, setup.classes), 1 / setup.classes)
        self.register_buffer("target", even)
        self.register_buffer("weight", torch.zeros(setup.unlabeled))
        self.register_buffer("confidence", even[:, 0].clone())

    def follow(self, labeled: Tensor, unlabeled: Tensor) -> None:
        p = mean_of(unlabeled)  # (N_u, C)
        self.take(p.clamp_min(1e-30).log())
        self.weight.mul_(p.amax(1) > 0)

    def lead(self, trainer: Trainer) -> None:
        self.take(trainer.encode(self.average.network, "unlabeled").logits)

    def take(self, logits: Tensor) -> None:
        """Labels of logits (N_u, C), and which of them count."""
        confidence = logits.softmax(1).amax(1)  # (N_u,)
        kept = confidence >= self.tau  # (N_u,) bool
        weight = balanced(confidence * kept, logits.argmax(1), logits.shape[1]) if self.balance else kept
        self.target.copy_((logits / self.temperature).softmax(1))
        self.weight.copy_(weight)
        self.confidence.copy_(confidence)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        labels = PseudoLabels(self.target[u.index], self.weight[u.index], self.confidence[u.index])
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        out_u = step.forward("student", self.student, u["strong"])  # logits (N, C)
        unlabeled = self.lambda_u * weighted_ce(out_u.logits, labels, n=len(u.index))  # ()
        return Losses({"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled}, labels)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.average.update(self.student)


def balanced(confidence: Tensor, y: Tensor, classes: int) -> Tensor:
    """(N,) weights of images of classes y (N,), of equal sum in all classes that occur; confidence 0 is rejected."""
    counts = torch.bincount(y[confidence > 0], minlength=classes)  # (C,)
    mean = -(-int(counts.sum()) // classes)
    order = confidence.argsort(descending=True, stable=True)  # (N,)
    weight = torch.zeros(len(y))
    for c, n in enumerate(counts.tolist()):
        best = order[y[order] == c][: min(n, mean)]
        weight[best] = mean / max(1, len(best))
    return weight
