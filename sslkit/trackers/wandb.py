"""Weights & Biases, by its login; with WANDB_MODE=offline in the run's folder, for `wandb sync` later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.errors import UserError
from sslkit.registry import register
from sslkit.tracker import PROJECT, Row, State, Tracked, Tracker, step_of

PATIENCE = 120.0  # seconds for what is not uploaded yet when a run ends; it stays on the disk, for `wandb sync`


@register("tracker")
class Wandb(Tracker):
    """The run of one id. Online it is resumed; offline, where wandb would begin a second one, it is written anew."""

    module = extra = "wandb"

    def check(self) -> None:
        import wandb

        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise UserError(
                "--track wandb: there is no login; run `wandb login`, or set WANDB_MODE=offline to write to the run's "
                "folder"
            )

    def start(self, run: Tracked) -> Mapping[str, float]:
        import wandb

        for earlier in (run.folder / "wandb").glob(f"offline-run-*-{run.id}"):
            shutil.rmtree(earlier)
        settings = wandb.Settings(silent=True, console="off", finish_timeout=PATIENCE)
        self.stages: set[str] = set()
        self.run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=run.id,
            name=run.name,
            resume="allow",
            dir=run.folder.resolve(),  # its service may have been started elsewhere
            config=dict(run.config),
            tags=[*dict.fromkeys(run.tags.values())],
            settings=settings,
        )
        settings = self.run.settings
        self.place = f"`wandb sync {settings.sync_dir}` sends it" if settings.mode == "offline" else str(self.run.url)
        return {k: v for k, v in dict(self.run.summary).items() if isinstance(v, int | float)}

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            steps, _ = step_of(row)
            if steps not in self.stages:
                self.stages.add(steps)
                self.run.define_metric(steps.replace("/step", "/*"), step_metric=steps)
            self.run.log(dict(row))

    def finish(self, state: State) -> None:
        self.run.finish(exit_code=0 if state == "finished" else 1)
