"""The student learns from its teacher's labels alone; the teacher learns by whether that made the student any better.

Paper: Pham et al. 2021, Meta Pseudo Labels, arXiv:2003.10580

Labels are the likeliest class, and the sign of h is the derivation's: official code has soft labels, whose term has no
gradient at all, and the other sign (google-research, issues 534, 541 and 602). Both networks start from what the stage
before left, so that the student does not wait. To fine-tune it on the labels in the end, as published, run
`--weights RUN --stages finetune`.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Trainer
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, frozen_stats, gather, one_hot, weighted_ce
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class MetaPseudoLabels(Algorithm):
    """First the student: L_S = mean H(y_T, p_S(strong)), y_T the teacher's class for the strong view. Then the teacher:

        L_T = H(y, p_T(x)) + weight ramp mean [max p_T(weak) >= tau] H(q, p_T(strong)) + h mean H(y_T, p_T(strong))

    with q = softmax(z_T(weak) / temperature), UDA's target. h is what the student's step took off its loss on the
    labelled images of the whole batch, less the running mean of that: where it helped, y_T becomes likelier.

    BatchNorm's running statistics are the student's alone, of labelled weak and unlabelled strong views; the teacher
    is never evaluated.

    Options:
        weight: of UDA's term after its ramp.
        ramp: share of the steps over which that weight rises linearly from 0; published 5,000 of 300,000 steps.
        tau: confidence of a weak view from which it counts in UDA's term.
        temperature: of UDA's target; above 0.
    """

    baseline: Tensor  # () running mean of h

    def __init__(
        self, setup: Setup, *, weight: float = 8.0, ramp: float = 1 / 60, tau: float = 0.6, temperature: float = 0.7
    ) -> None:
        super().__init__(setup)
        if weight < 0 or not 0 <= ramp <= 1:
            raise UserError(f"algo.weight must be 0 or more and algo.ramp in [0, 1], got {weight} and {ramp}")
        if not 0 <= tau <= 1 or not temperature > 0:
            raise UserError(f"algo.tau must be in [0, 1] and algo.temperature above 0, got {tau} and {temperature}")
        self.weight, self.ramp, self.tau, self.temperature = weight, ramp, tau, temperature
        self.teacher = setup.averaged.twin()
        self.register_buffer("baseline", torch.tensor(0.0))
        self.feedback: Tensor | None = None  # () h; None in the student's half of a step

    def trainable(self) -> dict[str, nn.Module]:
        return {"main": self.student, "teacher": self.teacher}

    def forward(self, batch: Batch, step: Step) -> Losses:
        """The half of the step that `feedback` says."""
        return self.learn(batch, step) if self.feedback is None else self.teach(batch, step, self.feedback)

    def learn(self, batch: Batch, step: Step) -> Losses:
        u = batch["unlabeled"]
        with torch.no_grad():
            labels = hard(self.taught("strong", u["strong"], step))  # target (N, C)
        out = step.forward("student", self.student, u["strong"])  # logits (N, C)
        student = weighted_ce(out.logits, labels, n=len(u.index))  # ()
        return Losses({"student": student + idle(self.teacher)}, labels)

    def teach(self, batch: Batch, step: Step, feedback: Tensor) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]
        with torch.no_grad():
            weak = self.taught("weak", u["weak"], step)  # logits (N, C)
        confidence = weak.p.amax(1)  # (N,)
        target = (weak.logits / self.temperature).softmax(1)  # (N, C)
        sure = PseudoLabels(target, (confidence >= self.tau).float(), confidence)
        strong = self.taught("strong", u["strong"], step)  # logits (N, C), the same as in `learn`
        uda = self.weight * step.ramp(self.ramp) * weighted_ce(strong.logits, sure, n=len(u.index))  # ()
        reward = feedback * weighted_ce(strong.logits, hard(strong.detach()), n=len(u.index))  # ()
        supervised = cross_entropy(self.taught("labeled", x["weak"], step), x.y)  # ()
        return Losses({"supervised": supervised + idle(self.student), "uda": uda, "feedback": reward})

    def taught(self, view: str, images: Tensor, step: Step) -> Output:
        """The teacher's output in train mode; a view's is one and the same in both halves of a step."""
        with frozen_stats(self.teacher):
            return step.forward(f"teacher.{view}", self.teacher, images)

    @torch.no_grad()
    def tested(self, batch: Batch, step: Step) -> Tensor:
        """() the student's loss on labelled images, in train mode."""
        x = batch["labeled"]
        return cross_entropy(step.forward("labeled", self.student, x["weak"]), x.y)

    def train_step(self, trainer: Trainer, batches: Sequence[Batch], steps: Sequence[Step]) -> list[Losses]:
        pairs = list(zip(batches, steps, strict=True))
        before, learned, taught = [], [], []
        for batch, step in pairs:
            before.append(self.tested(batch, step))
            learned.append(trainer.run(batch, step))
            trainer.backward(learned[-1].total / len(pairs))
        trainer.update()
        with frozen_stats(self.student):
            after = [self.tested(batch, step) for batch, step in pairs]
        h = gather(torch.stack(before) - torch.stack(after)).mean()  # () of the whole global batch
        self.baseline.lerp_(h, 0.01)
        self.feedback = h - self.baseline
        for batch, step in pairs:
            taught.append(trainer.run(batch, step))
            trainer.backward(taught[-1].total / len(pairs))
        trainer.update("teacher")
        self.feedback = None
        return [replace(one, terms=one.terms | other.terms) for one, other in zip(learned, taught, strict=True)]


def hard(output: Output) -> PseudoLabels:
    """The likeliest class of N images, all of weight 1."""
    confidence, y = output.p.max(1)  # (N,), (N,) int64
    return PseudoLabels(one_hot(y, output.logits.shape[1]), torch.ones_like(confidence), confidence)


def idle(network: Classifier) -> Tensor:
    """() zero, with a gradient of zeros for all parameters: processes exchange those of both networks together."""
    return 0 * torch.stack([p.sum() for p in network.parameters() if p.requires_grad]).sum()
