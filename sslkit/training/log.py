"""The training log: values stay on the device until the log interval, then go to JSON lines and TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch import Tensor

from sslkit.contracts import Losses
from sslkit.errors import UserError, one_line
from sslkit.losses import gather
from sslkit.machine import ranks
from sslkit.store import claims
from sslkit.training.evaluation import label_quality, label_scores

EVERY = 10  # steps
# columns of a line beside the loss terms
VALIDATED = ("val_top1", "val_map")
PROGRESS = ("step", "seconds", "lr", "grad_norm")
QUALITY = ("coverage", "precision", "recall", "unknown", "confidence")  # of the pseudo-labels


class NonFinite(Exception):
    """A loss term or gradient is not finite."""

    def __init__(self, step: int, what: str) -> None:
        super().__init__(f"{what} is not finite at step {step}")


class Log:
    """Means over an interval, one JSON line each.

    Args:
        folder: where `metrics.jsonl` and TensorBoard's events go.
        position: bytes of `metrics.jsonl` that stand: what a killed process wrote after its last checkpoint goes.
        step: from which it goes on.

    Raises:
        UserError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, position: int, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        try:
            self.path.touch()
            with self.path.open("r+b") as file:
                file.truncate(min(position, self.path.stat().st_size))
            self._board = Board(folder, step)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {one_line(error)}") from None
        self._rows: list[Tensor] = []
        self._names: list[str] = []
        self._scored = False

    @property
    def position(self) -> int:
        return self.path.stat().st_size

    def add(self, losses: Sequence[Losses], norm: Tensor, truth: Sequence[Tensor | None]) -> None:
        """One step, on the device: terms, gradient norm, quality of pseudo-labels against the hidden truth."""
        self._names = [*losses[0].terms, "grad_norm"]
        terms = torch.stack([torch.stack([t.detach() for t in loss.terms.values()]) for loss in losses]).mean(0)
        row = [terms, norm.reshape(1)]
        pairs = [(x.labels, y) for x, y in zip(losses, truth, strict=True) if x.labels and y is not None]
        self._scored = bool(pairs)
        if pairs:
            row.append(torch.stack([label_quality(labels, y) for labels, y in pairs]).sum(0))
        self._rows.append(torch.cat(row))

    def flush(self, step: int, **also: float) -> dict[str, Any]:
        """Write the means since the last flush; `step` is the number of steps done.

        Raises:
            NonFinite: names the first step and term that is not finite; nothing is written.
            UserError: it cannot be written.
        """
        if not self._rows:
            return {}
        values = torch.stack(self._rows).double().cpu()
        terms = values[:, : len(self._names)]
        bad = (~terms.isfinite()).nonzero()
        if len(bad):
            row, column = bad[0].tolist()
            name = self._names[column]
            what = "the gradient" if name == "grad_norm" else f"the loss term {name!r}"
            raise NonFinite(step - len(self._rows) + row, what)
        self._rows = []
        line: dict[str, Any] = {"step": step, **also}
        line |= dict(zip(self._names, terms.mean(0).tolist(), strict=True))
        if self._scored:
            line |= label_scores(*values[:, len(self._names) :].sum(0).tolist())
        self._write(line)
        return line

    def _write(self, line: dict[str, Any]) -> None:
        finite = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in line.items()}
        claims.check()
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite) + "\n")
            self._board.write(line["step"], {k: v for k, v in line.items() if k != "step"})
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {one_line(error)}") from None

    def close(self) -> None:
        self._board.file.close()


class SharedLog(Log):
    """The log of several processes: a row is of what all of them saw, and the leader alone writes."""

    def __init__(self, folder: Path, position: int, step: int) -> None:
        self._rows = []
        if ranks.leads():
            super().__init__(folder, position, step)

    def flush(self, step: int, **also: float) -> dict[str, Any]:
        rows, n = gather(torch.stack(self._rows)[None]), len(self._names)  # (ranks, steps, columns)
        self._rows = list(torch.cat([rows[..., :n].mean(0), rows[..., n:].sum(0)], 1))
        if ranks.leads():
            return super().flush(step, **also)
        self._rows = []
        return {}

    def close(self) -> None:
        if ranks.leads():
            super().close()


class Board:
    """TensorBoard's events, written at once: its own writer does so in a thread, where a full disk is a traceback.

    See tensorflow/tensorboard#6167.

    Args:
        step: events of this step and later ones, which a killed process left, are to be forgotten.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.file = (folder / f"events.out.tfevents.{time.time_ns()}").open("wb")
        self.records = RecordWriter(self.file)
        self.add(Event(wall_time=time.time(), file_version="brain.Event:2"))
        self.add(Event(wall_time=time.time(), step=step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, values: dict[str, float]) -> None:
        summary = Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()])
        self.add(Event(wall_time=time.time(), step=step, summary=summary))

    def add(self, event: Any) -> None:
        self.records.write(event.SerializeToString())
        self.file.flush()


def last_values(path: Path) -> dict[str, dict[str, float] | None]:
    """Loss terms, and quality of the pseudo-labels, as means over the last tenth of a stage's logged steps."""
    lines = lines_of(path)
    lines = lines[-max(1, len(lines) // 10) :]
    found = {}
    for name in dict.fromkeys(name for line in lines for name in line):
        values = [line[name] for line in lines if line.get(name) is not None]
        if values and name not in (*PROGRESS, *VALIDATED):
            found[name] = sum(values) / len(values)
    quality = {name: found.pop(name) for name in QUALITY if name in found}
    return {"losses": found, "pseudo_labels": quality or None}


def lines_of(path: Path) -> list[dict[str, Any]]:
    """What was logged, a value for each line; damaged lines are left out."""
    lines = []
    for text in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
        with contextlib.suppress(ValueError):  # the log may have been damaged from outside
            lines.append(json.loads(text))
    return lines
