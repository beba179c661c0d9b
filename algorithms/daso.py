"""FixMatch whose labels lean on the nearest class prototypes, the more the oftener their class is a label.

Paper: Oh et al. 2022, DASO: Distribution-Aware Semantics-Oriented Pseudo-label, CVPR, arXiv:2106.05682

The prototypes and shares of classes of a step are those that the steps before have left.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms.labelers._shares import label_shares
from sslkit.average import Average
from sslkit.contracts import Batch, Losses, PseudoLabels, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import cross_entropies, gather, one_hot
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class DASO(PseudoLabeling):
    """L = FixMatch on q + weight mean H(sg s(weak), s(strong)), q = (1 - v_c) p + v_c s, c the class of p.

    s = softmax(cos(f, prototypes) / temperature) of features f; a prototype is the mean of a class's last labelled
    images, of the averaged network's features. v = h^(1 / spread) / max, with h the shares of classes among the last
    pseudo-labels, and those of the labels until there are any. q = p, and no second term, in the first steps.

    Options:
        weight: of the second term.
        temperature: of similarities.
        spread: above 0; the larger, the more alike are classes in v. Published: 1.5, and 0.3 where the pool is
            thought to be of other shares than the labels.
        queue: images of which a prototype is the mean.
        wait: share of the steps without prototypes. Published: 5,000 of 250,000.
        period: steps that h is counted over.
    """

    slots = {"teacher": "self", "labeler": "threshold", "mixer": "none"}
    whole = True

    def __init__(
        self,
        setup: Setup,
        *,
        teacher: Teacher,
        weight: float = 1.0,
        temperature: float = 0.05,
        spread: float = 1.5,
        queue: int = 256,
        wait: float = 0.02,
        period: int = 100,
        **family: Any,
    ) -> None:
        super().__init__(setup, teacher=Leaning(setup, teacher, temperature, spread, queue, wait), **family)
        if weight < 0 or temperature <= 0 or spread <= 0:
            wrong = f"got {weight}, {temperature} and {spread}"
            raise UserError(f"algo.weight must be 0 or more, algo.temperature and algo.spread above 0, {wrong}")
        if queue < 1 or period < 1 or not 0 <= wait <= 1:
            wrong = f"got {queue}, {period} and {wait}"
            raise UserError(f"algo.queue and algo.period must be 1 or more, algo.wait in [0, 1], {wrong}")
        self.weight, self.period = weight, period
        self.average = Average(setup.averaged, setup.decay, setup.buffers)  # it is the one that is reported

    def forward(self, batch: Batch, step: Step) -> Losses:
        losses = super().forward(batch, step)
        x = batch["labeled"]
        with torch.no_grad():
            features = step.forward("average", self.average.network, x["weak"]).features  # (B, D)
        assert x.label is not None
        losses.memory |= {"features": features, "label": x.label}
        return losses

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        assert isinstance(self.teacher, Leaning)
        target = self.teacher.similar(weak.features).softmax(1)  # (N, C)
        loss = cross_entropies(target, self.teacher.similar(out_u.features)).mean()  # ()
        return {"aligned": self.weight * self.teacher.leans(step) * loss}

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        super().after_step(losses, step)
        assert isinstance(self.teacher, Leaning)
        target = gather(torch.cat([loss.labels.target for loss in losses if loss.labels]))  # (N, C)
        features, label = (gather(torch.cat([loss.memory[n] for loss in losses])) for n in ("features", "label"))
        self.teacher.learn(features, label, target.argmax(1), (step.index + 1) % self.period == 0)
        self.average.update(self.student)


class Leaning(Teacher):
    """A teacher whose predictions lean on prototypes; with it is what these are made of."""

    queue: Tensor  # (C Q + 1, D) the last Q features of each class, in turn; the last row is of none
    filled: Tensor  # (C,) int64, how many there were of each class
    shares: Tensor  # (C,) h
    counts: Tensor  # (C,) pseudo-labels of this period

    def __init__(
        self, setup: Setup, teacher: Teacher, temperature: float, spread: float, queue: int, wait: float
    ) -> None:
        super().__init__()
        self.teacher, self.temperature, self.spread, self.wait = teacher, temperature, spread, wait
        self.classes, self.size = setup.classes, queue
        self.register_buffer("queue", torch.zeros(setup.classes * queue + 1, setup.student.feature_dim))
        self.register_buffer("filled", torch.zeros(setup.classes, dtype=torch.long))
        self.register_buffer("shares", label_shares(setup))
        self.register_buffer("counts", torch.zeros(setup.classes))

    def leans(self, step: Step) -> bool:
        """Whether prototypes count; there is none in the first step."""
        return step.index >= max(1, self.wait * step.total)

    @torch.no_grad()
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        out = self.teacher.predict(student, images, step)  # logits (N, C)
        if not self.leans(step):
            return out
        v = self.shares ** (1 / self.spread)  # (C,)
        v = (v / v.max())[out.logits.argmax(1), None]  # (N, 1)
        q = (1 - v) * out.p + v * self.similar(out.features).softmax(1)  # (N, C)
        return Output(q.clamp_min(1e-12).log(), out.features)

    def similar(self, features: Tensor) -> Tensor:
        """(N, C) cosines of features (N, D) and prototypes, divided by the temperature; far below where there is none.

        Their gradient is that of the features.
        """
        rows = self.queue[:-1].view(self.classes, self.size, -1)  # (C, Q, D), zeros where not filled
        prototypes = F.normalize(rows.sum(1), dim=1)  # (C, D): the direction of the mean
        with torch.autocast(features.device.type, enabled=False):  # they are divided by little
            cosine = F.normalize(features, dim=1) @ prototypes.T.to(features)  # (N, C)
        return torch.where(self.filled > 0, cosine / self.temperature, -1e4)

    def learn(self, features: Tensor, label: Tensor, guess: Tensor, ends: bool) -> None:
        """Learn from labelled features (B, D) and labels (B,), and pseudo-labels (N,), of the whole global batch.

        Args:
            ends: a period ends with this step.
        """
        hot = one_hot(label, self.classes).long()  # (B, C)
        before = (hot.cumsum(0) - hot).gather(1, label[:, None])[:, 0]  # (B,) of the same class, before it
        total = hot.sum(0)  # (C,)
        row = label * self.size + (self.filled[label] + before) % self.size  # (B,)
        stays = total[label] - before <= self.size  # (B,) bool: is not overwritten by the same batch
        self.queue[torch.where(stays, row, self.classes * self.size)] = features.to(self.queue)
        self.queue[-1] = 0
        self.filled += total
        self.counts += one_hot(guess, self.classes).sum(0)
        if ends:
            self.shares.copy_(self.counts / self.counts.sum())
            self.counts.zero_()

    def update(self, student: Classifier, step: Step) -> None:
        self.teacher.update(student, step)

    def networks(self) -> dict[str, Classifier]:
        return self.teacher.networks()
