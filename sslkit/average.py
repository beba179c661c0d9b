"""The averaged network: exponential moving average of a network's weights.

It has no gradient, and it is in train mode for one forward at most, by a teacher that wants that.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.network import Classifier

Lists: TypeAlias = tuple[list[Tensor], list[Tensor]]


class Average(torch.nn.Module):
    """average <- decay * average + (1 - decay) * student, after every optimizer step, without bias correction.

    Args:
        start: network whose weights the average starts from; copied, but for what an adapter froze.
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
        self.network = start.twin().requires_grad_(False).eval()
        self.decay, self.buffer_rule = decay, buffers
        self._known: list[Any] = []  # a list, so that the student does not become a part of this module

    def train(self, mode: bool = True) -> Average:
        """An average is never in train mode; a teacher that wants that says so for one forward."""
        return super().train(False)

    @torch.no_grad()
    def update(self, student: Classifier) -> None:
        lerp, copied = self._pairs(student)
        torch._foreach_lerp_(*lerp, 1 - self.decay)
        if copied[0]:
            torch._foreach_copy_(*copied)

    def _pairs(self, student: Classifier) -> tuple[Lists, Lists]:
        """Tensors to average and to copy, mine and the student's, looked up once."""
        if not self._known or self._known[0] is not student:
            found = zip(self.network.parameters(), student.parameters(), strict=True)
            pairs = [(_shard(mine), _shard(theirs)) for mine, theirs in found if mine is not theirs]
            buffers = list(zip(self.network.buffers(), student.buffers(), strict=True))
            average = self.buffer_rule == "average"
            lerp = [*pairs, *(pair for pair in buffers if average and pair[0].is_floating_point())]
            copied = [pair for pair in buffers if not (average and pair[0].is_floating_point())]
            self._known = [student, *(([mine for mine, _ in p], [theirs for _, theirs in p]) for p in (lerp, copied))]
        return self._known[1], self._known[2]


def _shard(x: Any) -> Tensor:
    """What this process has of a parameter: all, or with `--fsdp` its shard."""
    own: Tensor = x.detach().to_local() if hasattr(x, "to_local") else x
    return own
