"""Trackers: what shows the figures of a run elsewhere, as TensorBoard, MLflow, Weights & Biases and trackio do.

A tracker is a part of kind "tracker". It is told only what stands: the rows of `metrics.jsonl` behind which there is a
checkpoint, and those of finished stages. So no row is taken back later, and a tracker need only be able to add.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from sslkit.config import Flat

PROJECT = "sslkit"  # where the tracker has projects or experiments, and its own variables name none
Row = Mapping[str, float]  # figure -> value
State = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Tracked:
    """The run that a tracker is told of."""

    name: str  # of its folder, as ema_teacher_digits-1a2b3c4d
    id: str  # 16 hexadecimal digits: the same whenever the run is gone on with, and another one in another store
    folder: Path
    store: Path  # the folder of all runs
    config: Flat  # without None
    tags: Mapping[str, str]  # algo, mixer, backbone, … -> name


class Tracker(ABC):
    """A part of kind "tracker", made as `Tracker()`.

    What a method raises ends the tracking and not the run; but `check` and `start`, which come before any training,
    end the run, in one line.
    """

    module: ClassVar[str] = ""  # that it needs and that may not be there
    extra: ClassVar[str] = ""  # of sslkit that brings this module
    place: str = ""  # where the figures are seen, for a sentence; known after `start`

    def check(self) -> None:  # noqa: B027, most need nothing
        """Make sure that `start` can do its work.

        Raises:
            UserError: it cannot, as there is no login; says what to do.
        """

    @abstractmethod
    def start(self, run: Tracked) -> Mapping[str, float]:
        """Open the run, a new one or that of `run.id`; the last value of each figure that it has already."""

    @abstractmethod
    def log(self, rows: Sequence[Row]) -> None:
        """Add rows of one stage. Their figures are called STAGE/NAME, of which STAGE/step counts from 1 and is last."""

    @abstractmethod
    def finish(self, state: State) -> None:
        """Close the run; `start` may open it again."""


def figure(stage: str, name: str = "step") -> str:
    """The name of a figure, of letters that every tracker takes: MLflow refuses the plus in `finetune+`."""
    return re.sub(r"[^\w\-. :/]", "_", f"{stage}/{name}".replace("+", "_plus"), flags=re.ASCII)


def step_of(told: Row) -> tuple[str, int]:
    """The figure that counts the steps of a row's stage, and which of them the row is of."""
    *_, (name, step) = told.items()
    return name, int(step)


def row(stage: str, step: int, values: Mapping[str, Any]) -> Row:
    """What is told of a line of the log: its numbers, by figure, with the step at the end."""
    numbers = {k: float(v) for k, v in values.items() if isinstance(v, int | float) and k != "step"}
    return {figure(stage, k): v for k, v in numbers.items()} | {figure(stage): step}
