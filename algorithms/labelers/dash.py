"""Images whose loss is below a threshold that falls from that of the labelled images.

Paper: Xu et al. 2021, Dash, arXiv:2109.00650, section 4

It remembers the labelled images' mean loss in the first steps, in which no image is kept.
"""

import math

import torch
from torch import Tensor

from sslkit.algorithms.labelers.sharpened import check_temperature
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropies, one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class Dash(PseudoLabeler):
    """w = [H(q, p) <= rho], rho = max(1.0001 gamma^-k rho_0, least), q = softmax(z / temperature), at last hard.

    It is hard once rho is least. rho_0 is the mean loss of the labelled images, weakly augmented, in the first `warmup`
    of the steps; k grows by one each 10 / 1024 of all steps, as published in 10 of 1024 epochs.

    Options:
        gamma: above 1, by what the threshold is divided.
        least: the smallest threshold; 0.05 is a confidence of 0.951 of hard labels.
        temperature: of the soft labels.
        warmup: share of the steps in which labelled images alone are learned, at least one step.
    """

    first: Tensor  # () running sum, then mean, of the labelled loss

    def __init__(
        self,
        setup: Setup,
        *,
        gamma: float = 1.27,
        least: float = 0.05,
        temperature: float = 0.5,
        warmup: float = 0.002,
    ) -> None:
        super().__init__()
        if gamma <= 1 or least < 0 or not 0 <= warmup < 1:
            wrong = f"got {gamma}, {least} and {warmup}"
            raise UserError(f"labeler.gamma must be above 1, least 0 or more and warmup in [0, 1), {wrong}")
        self.gamma, self.least, self.classes = gamma, least, setup.classes
        self.temperature = check_temperature(temperature)
        self.warm = max(1, round(warmup * setup.steps))
        self.register_buffer("first", torch.zeros(()))

    def threshold(self, step: Step) -> Tensor:
        """() float32, the largest loss of an image that is kept."""
        k = math.floor((step.index - self.warm) / step.total * 102.4)
        return (1.0001 * self.gamma**-k * self.first).clamp_min(self.least)

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = weak.p.max(1)  # (N,), (N,) int64
        rho = self.threshold(step)  # ()
        soft = (weak.logits / self.temperature).softmax(1)  # (N, C)
        target = torch.where(rho > self.least, soft, one_hot(y, self.classes))  # (N, C)
        loss = cross_entropies(target, weak.logits)  # (N,)
        weight = (loss <= rho).float() * (step.index >= self.warm)  # (N,)
        label = batch["labeled"].label  # (B,) int64
        assert label is not None
        own = torch.nn.functional.cross_entropy(labeled.logits, label, reduction="none")  # (B,)
        return PseudoLabels(target, weight, confidence, {"loss": own})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        if step.index < self.warm:
            self.first += labels.memory["loss"].mean() / self.warm
