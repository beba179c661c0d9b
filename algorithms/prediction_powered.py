"""Pseudo-labels of a fixed network, less what the same pseudo-labels do on labelled images; their share is learned.

Paper: Shoham et al. 2025, Prediction-Powered SSL with Online Power Tuning, arXiv:2510.22586

The fixed network is the one that the stage starts from. The gradient is that of the labels, on average, if it has not
learned from these labels: with a stage `finetune` before it has, and agrees with them more than it is right.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Trainer
from sslkit.losses import cross_entropy, gather, one_hot, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class PredictionPowered(Algorithm):
    """L = H(y, p(x)) + lambda (mean H(f(u), p(u)) - mean H(f(x), p(x))), f(u) the fixed network's class for image u.

    lambda makes the gradient g short. It begins at 0, and after each step, d being the gradient of what it multiplies:

        lambda <- lambda - (2 sum of all h^2 so far)^-1/2 h within [0, 1],    h = 2 g d

    g and d are of the whole batch. The loss may be negative. d is kept for every micro-batch until the step: each has
    the memory of all trained weights.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak",)}
    of_labeled: Tensor  # (n_l,) int64 the fixed network's classes
    of_unlabeled: Tensor  # (N_u,) int64
    share: Tensor  # () lambda
    squares: Tensor  # () sum of h^2

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.classes = setup.classes
        self.average = Average(setup.averaged, setup.decay, setup.buffers)  # the one that is evaluated
        self.register_buffer("of_labeled", torch.zeros(setup.labeled, dtype=torch.long))
        self.register_buffer("of_unlabeled", torch.zeros(setup.unlabeled, dtype=torch.long))
        self.register_buffer("share", torch.tensor(0.0))
        self.register_buffer("squares", torch.tensor(0.0))

    def start(self, trainer: Trainer) -> None:
        self.of_labeled.copy_(trainer.encode(self.average.network, "labeled").logits.argmax(1))
        self.of_unlabeled.copy_(trainer.encode(self.average.network, "unlabeled").logits.argmax(1))

    def forward(self, batch: Batch, step: Step) -> Losses:
        """The terms without lambda, which `train_step` puts in."""
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        out_u = step.forward("student", self.student, u["weak"])  # logits (N, C)
        guess_x, guess_u = self.guess(self.of_labeled[x.index]), self.guess(self.of_unlabeled[u.index])
        pool = weighted_ce(out_u.logits, guess_u, n=len(u.index))  # ()
        bias = -weighted_ce(out_x.logits, guess_x, n=len(x.index))  # ()
        labels = replace(guess_u, weight=self.share * guess_u.weight)
        return Losses({"supervised": cross_entropy(out_x, x.y), "pool": pool, "bias": bias}, labels)

    def guess(self, y: Tensor) -> PseudoLabels:
        """The fixed network's labels of classes (N,), all of weight 1."""
        ones = torch.ones(len(y), device=y.device)
        return PseudoLabels(one_hot(y, self.classes), ones, ones)

    def train_step(self, trainer: Trainer, batches: Sequence[Batch], steps: Sequence[Step]) -> list[Losses]:
        parameters = [p for p in self.student.parameters() if p.requires_grad]
        share, done, differences = self.share.clone(), [], []
        for batch, step in zip(batches, steps, strict=True):
            losses = trainer.run(batch, step)
            difference = losses.terms["pool"] + losses.terms["bias"]  # ()
            differences.append(torch.autograd.grad(difference, parameters, retain_graph=True))  # d
            terms = {name: term if name == "supervised" else share * term for name, term in losses.terms.items()}
            done.append(replace(losses, terms=terms))
            trainer.backward(done[-1].total / len(batches))
        slopes = [self.slope([p.grad for p in parameters], d) for d in differences]
        self.tune(gather(torch.stack(slopes)).mean())
        trainer.update()
        self.average.update(self.student)
        return done

    def slope(self, g: Sequence[Tensor | None], d: Sequence[Tensor]) -> Tensor:
        """() h, of gradients by all parameters."""
        return 2 * torch.stack([(a * b).sum() for a, b in zip(g, d, strict=True) if a is not None]).sum()

    def tune(self, h: Tensor) -> None:
        """lambda's own step."""
        self.squares += h.square()
        self.share.sub_((2 * self.squares).clamp_min(1e-30).rsqrt() * h).clamp_(0, 1)
