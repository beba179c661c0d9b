"""The student itself, without gradient.

Paper: Sohn et al. 2020, FixMatch, arXiv:2001.07685

In mode "train" its forward moves the student's BatchNorm statistics, too.
"""

from typing import Literal

import torch
from torch import Tensor

from sslkit.contracts import Setup, Teacher
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("teacher")
class Student(Teacher):
    """Options:
    mode: "train" labels with dropout, stochastic depth and batch statistics active, as published;
        "eval" without.
    """

    def __init__(self, setup: Setup, *, mode: Literal["train", "eval"] = "train") -> None:
        super().__init__()
        self.mode = mode
        self.joinable = mode == "train"

    @torch.no_grad()
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        student.train(self.mode == "train")
        output = step.forward("teacher", student, images)  # logits (N, C)
        student.train()
        return output
