"""A tracker as strangers write them, for `--plugin`: it appends what it is told to `told.jsonl` in the run's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit import register
from sslkit.tracker import Row, State, Tracked, Tracker


@register("tracker")
class Noted(Tracker):
    """Lines of JSON; fails at the figure that FAIL_AT names."""

    def start(self, run: Tracked) -> Mapping[str, float]:
        if os.environ.get("FAIL_AT") == "start":
            raise RuntimeError("no such server\nsecond line")
        self.file = run.folder / "told.jsonl"
        has: dict[str, float] = {}
        for text in self.file.read_text().splitlines() if self.file.is_file() else ():
            has |= json.loads(text).get("row", {})
        self._write(run=run.name, id=run.id, algo=run.tags["algo"], steps=run.config["semi.steps"])
        self.place = str(self.file)
        print("a tracker that talks")
        return has

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            if os.environ.get("FAIL_AT") in row:
                raise ConnectionError("the server is gone\nsecond line")
            self._write(row=row)

    def finish(self, state: State) -> None:
        self._write(state=state)

    def _write(self, **told: Any) -> None:
        with self.file.open("a") as file:
            file.write(json.dumps(told) + "\n")
