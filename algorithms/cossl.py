"""FixMatch that learns together with a second head: balanced, on blended features, and the one that classifies.

Paper: Fan et al. 2022, CoSSL: Co-Learning of Representation and Classifier, CVPR, arXiv:2112.04564

The second head learns from the first step on, where published it starts late, on stored features; no gradient of it
reaches the features either way. Labels are those of the averaged network before the heads are coupled, too.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.contracts import Batch, PseudoLabels, Setup, Teacher
from sslkit.errors import UserError
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class CoSSL(PseudoLabeling):
    """L = FixMatch + mean H(y, h(f)), f = l f'(x) + (1 - l) f'(u) with probability (m - n_y) / m, else f'(x).

    f' are the teacher's features, x labelled images of which every class is drawn equally often, u unlabelled ones, n
    the labels of each class and m the most, l uniform in [least, 1). In the last steps h on the teacher's features
    gives the pseudo-labels.

    Options:
        least: smallest share of the labelled image in blended features.
        wait: share of the steps before h gives the pseudo-labels. Published: 400 of 500 epochs.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak", "strong"), "balanced": ("weak",)}
    slots = {"teacher": "ema", "labeler": "threshold", "mixer": "none"}
    decides = "balanced"
    whole = False  # `extra` makes outputs of its own
    blends: Tensor  # (C,) probability

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"balanced": nn.Linear(features, classes)}

    def __init__(self, setup: Setup, *, teacher: Teacher, least: float = 0.6, wait: float = 0.8, **family: Any) -> None:
        super().__init__(setup, teacher=Coupled(teacher, wait), **family)
        if not 0 <= least <= 1 or not 0 <= wait <= 1:
            raise UserError(f"algo.least and algo.wait must be in [0, 1], got {least} and {wait}")
        self.least = least
        counts = setup.class_counts.float()
        self.register_buffer("blends", 1 - counts / counts.max())

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        x = batch["balanced"]
        own = self.teacher.predict(self.student, x["weak"], step).features  # (B, D)
        assert x.label is not None
        n, device = len(own), own.device
        other = weak.features[torch.arange(n, device=device) % len(weak.features)]  # (B, D)
        blended = step.uniform("cossl.blend", n, device=device) < self.blends[x.label]  # (B,) bool
        ratio = self.least + (1 - self.least) * step.uniform("cossl.ratio", n, device=device)  # (B,)
        ratio = torch.where(blended, ratio, 1.0)[:, None]  # (B, 1)
        logits = self.student.added["balanced"](ratio * own + (1 - ratio) * other)  # (B, C)
        return {"balanced": F.cross_entropy(logits, x.label)}


class Coupled(Teacher):
    """A teacher whose features the student's second head labels, after a share of the steps."""

    def __init__(self, teacher: Teacher, wait: float) -> None:
        super().__init__()
        self.teacher, self.wait = teacher, wait

    @torch.no_grad()
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        out = self.teacher.predict(student, images, step)  # logits (N, C)
        if step.index < self.wait * step.total:
            return out
        return Output(student.added["balanced"](out.features), out.features)

    def update(self, student: Classifier, step: Step) -> None:
        self.teacher.update(student, step)

    def networks(self) -> dict[str, Classifier]:
        return self.teacher.networks()
