"""The averaged network: exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.network import Classifier


class Average(torch.nn.Module):
    """average <- decay * average + (1 - decay) * student, after every optimizer step, without bias correction.

    Args:
        start: network whose weights the average starts from; copied.
        decay: in [0, 1); the memory is 1 / (1 - decay) steps.
        buffers: "average" also averages floating-point buffers such as BatchNorm's statistics (EMAN,
            arXiv:2101.08482), "copy" takes the student's. Integer buffers are always copied.
    """

    def __init__(self, start: Classifier, decay: float, buffers: str = "average") -> None:
        super().__init__()
        if not 0 <= decay <= 1:
            raise UserError(f"an EMA decay must be in [0, 1], got {decay}")
        if buffers not in ("average", "copy"):
            raise UserError(f"buffers of an average must be 'average' or 'copy', got {buffers!r}")
        self.network = copy.deepcopy(start).requires_grad_(False).eval()
        self.decay, self.buffer_rule = decay, buffers

    def train(self, mode: bool = True) -> Average:
        """An average is never in train mode; a teacher that wants that says so for one forward."""
        return super().train(False)

    @torch.no_grad()
    def update(self, student: Classifier) -> None:
        lerp: list[tuple[Tensor, Tensor]] = [*zip(self.network.parameters(), student.parameters(), strict=True)]
        copied: list[tuple[Tensor, Tensor]] = []
        for pair in zip(self.network.buffers(), student.buffers(), strict=True):
            averaged = self.buffer_rule == "average" and pair[0].is_floating_point()
            (lerp if averaged else copied).append(pair)
        _foreach(torch._foreach_lerp_, lerp, 1 - self.decay)
        if copied:
            _foreach(torch._foreach_copy_, copied)


def _foreach(operation: object, pairs: list[tuple[Tensor, Tensor]], *args: float) -> None:
    assert callable(operation)
    operation([mine for mine, _ in pairs], [theirs for _, theirs in pairs], *args)
