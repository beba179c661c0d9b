"""trackio, in its own folder on this machine: TRACKIO_DIR, else Hugging Face's cache."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.errors import UserError
from sslkit.registry import register
from sslkit.tracker import PROJECT, Row, State, Tracked, Tracker, step_of

ELSEWHERE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


@register("tracker")
class Trackio(Tracker):
    """A run that is found again by its name, which has a part of the id: trackio resumes by names."""

    module = extra = "trackio"

    def check(self) -> None:
        if named := next((name for name in ELSEWHERE if os.environ.get(name)), ""):
            raise UserError(
                f"--track trackio writes on this machine, where it can see what it has; unset {named}, and send a "
                "project later by `trackio sync`"
            )

    def start(self, run: Tracked) -> Mapping[str, float]:
        import trackio

        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        name = f"{run.name}-{run.id[:6]}"
        there = name in trackio.SQLiteStorage.get_runs(project)
        known = trackio.SQLiteStorage.get_logs(project, name) if there else []
        self.run: Any = trackio.init(
            project=project,
            name=name,
            resume="allow",
            config={**run.config, **{f"tag.{kind}": tag for kind, tag in run.tags.items()}},
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        self.place = f'`trackio show --project "{project}"`'
        return {key: value for row in known for key, value in row.items() if isinstance(value, int | float)}

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self.run.log(dict(row), step=step_of(row)[1])

    def finish(self, state: State) -> None:
        import trackio

        trackio.finish()  # not that of the run: trackio's own would be called once more when the process ends
