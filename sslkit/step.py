"""The default step: teacher, pseudo-labeler and mixer around one student. FixMatch and its family are this.

No label of an unlabelled image is here, and nothing waits for the device unless rejected images are skipped.

labelled (x, y) ───────────────────────────► student ─► supervised loss ─┐
unlabelled u ─ weak ──► Teacher ─► PseudoLabeler ─► pseudo-labels        ├─► total ─► optimizer ─► updates
           └─ strong ────────────► Mixer (images, pseudo-labels) ─► student ─► consistency loss ┘
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from sslkit.contracts import Algorithm, Batch, Losses, Mixer, PseudoLabeler, PseudoLabels, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, gather, joint_forward, only_kept, weighted_ce
from sslkit.network import Classifier, Output
from sslkit.randomness import Step


class PseudoLabeling(Algorithm):
    """L = H(y, student(x)) + lambda_u / (mu B) * sum_i w_i H(target_i, student(mixed_i)).

    Options:
        lambda_u: weight of the consistency term.
        burn_in: share of the steps, at the beginning, in which that weight is 0.
        joint: one forward of all views, so that BatchNorm sees them together (published FixMatch); needs the
            student itself as teacher, in train mode, and no mixer.
    """

    # `extra` needs the student's output for each strong view, as it is (True), or for none, and rejected ones may be
    # skipped (False); None: an `extra` of its own has it for all of them, mixed where there is a mixer
    whole: ClassVar[bool | None] = None

    def __init__(
        self,
        setup: Setup,
        *,
        teacher: Teacher,
        labeler: PseudoLabeler,
        mixer: Mixer,
        lambda_u: float = 1.0,
        burn_in: float = 0.0,
        joint: bool = False,
    ) -> None:
        super().__init__(setup)
        if lambda_u < 0:
            raise UserError(f"algo.lambda_u must be 0 or more, got {lambda_u}")
        if not 0 <= burn_in <= 1:
            raise UserError(f"algo.burn_in must be in [0, 1], got {burn_in}")
        if joint and not (teacher.joinable and mixer.joinable):
            raise UserError(
                "algo.joint runs all views through the student at once, before there are labels: "
                "it needs --teacher self with teacher.mode=train, and --mixer none"
            )
        if self.whole and not mixer.joinable:
            raise UserError("this algorithm compares each strong view with its own weak view: it needs --mixer none")
        self.teacher, self.labeler, self.mixer = teacher, labeler, mixer
        self.lambda_u, self.burn_in = lambda_u, burn_in
        needs_all = type(self).extra is not PseudoLabeling.extra if self.whole is None else self.whole
        self.joint, self.skip_rejected = joint, setup.skip_rejected and not needs_all

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        if self.joint:
            views = x["weak"], u["weak"], u["strong"]
            out_x, weak, out_u = joint_forward("student", self.student, step, *views)  # logits (B, C), (N, C), (N, C)
            weak = weak.detach()
            labels = kept = self.labeler.label(weak, out_x.detach(), batch, step)  # target (N, C), weight (N,)
        else:
            weak = self.teacher.predict(self.student, u["weak"], step)  # logits (N, C)
            out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
            labels = self.labeler.label(weak, out_x.detach(), batch, step)  # target (N, C), weight (N,)
            mixed = self.mixer.mix(u["strong"], labels, step)  # images (M, 3, H, W), target (M, C), weight (M,)
            if self.skip_rejected:
                mixed = only_kept(mixed)  # M is the number of kept images now
            out_u, kept = step.forward("student", self.student, mixed.images), mixed.labels  # logits (M, C)
        unlabeled = self.strength(step) * weighted_ce(out_u.logits, kept, n=len(u.index))  # ()
        terms = {"supervised": self.supervised(out_x, x.y, step), "unlabeled": unlabeled}
        return Losses(terms | self.extra(out_x, weak, out_u, labels, batch, step), labels, {"index": u.index})

    def strength(self, step: Step) -> float:
        """The weight of the consistency term."""
        return 0.0 if step.index < self.burn_in * step.total else self.lambda_u

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        """The supervised term, a scalar."""
        return cross_entropy(out, y)

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        """Further terms: name -> weighted scalar. `out_u` is of what the mixer made, and see `whole`."""
        return {}

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.teacher.update(self.student, step)
        made = [loss.labels for loss in losses if loss.labels]
        target, weight, confidence = (
            gather(torch.cat([getattr(labels, name) for labels in made])) for name in ("target", "weight", "confidence")
        )  # (N, C), (N,), (N,), N of the global batch
        memory = {name: gather(torch.cat([labels.memory[name] for labels in made])) for name in made[0].memory}
        index = gather(torch.cat([loss.memory["index"] for loss in losses]))  # (N,) int64
        self.labeler.update(PseudoLabels(target, weight, confidence, memory), index, step)

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student, **self.teacher.networks()}
