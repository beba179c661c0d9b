"""The student without dropout, as it is, labels the weak views."""

import torch

from sslkit import register
from sslkit.contracts import Teacher


@register("teacher")
class Quiet(Teacher):
    def __init__(self, setup):
        super().__init__()

    @torch.no_grad()
    def predict(self, student, images, step):
        network = student.eval()
        mode = student.training
        output = step.forward("teacher", network, images)
        student.train(mode)
        return output
