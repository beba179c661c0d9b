"""The student without dropout, its distribution sharpened."""

import torch
from torch import Tensor

from sslkit import register
from sslkit.contracts import Setup, Teacher
from sslkit.network import Classifier, Output
from sslkit.randomness import Step


@register("teacher")
class Mine(Teacher):
    """Options:
    temperature: that logits are divided by.
    """

    def __init__(self, setup: Setup, *, temperature: float = 0.5) -> None:
        super().__init__()
        self.temperature = temperature

    @torch.no_grad()
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        output = step.forward("teacher", student.eval(), images)  # logits (N, C)
        student.train()
        return Output(output.logits / self.temperature, output.features)
