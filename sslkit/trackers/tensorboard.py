"""TensorBoard's events in the run's folder, `tensorboard/STAGE/`; as 32-bit floats, which is all that it has."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams import summary_v2

from sslkit.registry import register
from sslkit.tracker import Row, State, Tracked, Tracker, step_of
from sslkit.training.log import Board


@register("tracker")
class TensorBoard(Tracker):
    """Events that are written anew whenever the run is gone on with: so no row is in them twice."""

    def start(self, run: Tracked) -> Mapping[str, float]:
        self.folder = run.folder / "tensorboard"
        self.place = f"`tensorboard --logdir {self.folder}`"
        self.boards: dict[Path, Board] = {}
        shutil.rmtree(self.folder, ignore_errors=True)
        hparams = summary_v2.hparams_pb(dict(run.config), trial_id=run.name)
        self._board(self.folder).add(Event(wall_time=time.time(), summary=hparams))
        return {}

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            steps, step = step_of(row)
            values = {name.partition("/")[2]: value for name, value in row.items()}
            self._board(self.folder / steps.partition("/")[0]).write(step, values)

    def _board(self, folder: Path) -> Board:
        if folder not in self.boards:
            folder.mkdir(parents=True)
            self.boards[folder] = Board(folder, 0)
        return self.boards[folder]

    def finish(self, state: State) -> None:
        for board in self.boards.values():
            board.file.close()
