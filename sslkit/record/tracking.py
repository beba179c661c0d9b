"""A run told to trackers: what is in its stages' logs and stands, its configuration, its results.

All is read from the store, so a stage that was there before is told as one that was just trained, and what a tracker
missed it is told when the same command is given again.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import PARTS, Config, flatten
from sslkit.errors import Stopped, UserError, one_line
from sslkit.record import read_run
from sslkit.store import Store, read_json, write_json
from sslkit.tracker import Row, State, Tracked, Tracker, row, step_of
from sslkit.training.evaluation import primary
from sslkit.training.log import lines_of


class Tracking:
    """The trackers of a run; of several processes the leader has them, and the others none.

    Args:
        say: given a sentence about where the figures are seen.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self._trackers: dict[str, Tracker] = {}
        self._has: dict[str, dict[str, float]] = {}  # tracker -> figure -> last value

    def choose(self, names: str) -> None:
        """Take trackers by their names, which have commas between.

        Raises:
            UserError: one is unknown, not installed, or has no login.
        """
        for name in dict.fromkeys(filter(None, map(str.strip, names.split(",")))):
            cls: type[Tracker] = registry.load("tracker", name)
            if cls.module and not _installed(cls.module):
                raise UserError(f"--track {name}: {cls.module} is not installed; pip install 'sslkit[{cls.extra}]'")
            self._trackers[name] = cls()
            _begun(name, self._trackers[name].check)

    @contextmanager
    def of(self, store: Store, folder: Path, config: Config) -> Iterator[None]:
        """While entered, the run of this folder is told; how the block ends is how the run ended.

        Raises:
            UserError: a tracker cannot be started.
        """
        if not self._trackers:
            yield
            return
        claim = store.claim(f"{folder.name}.track")
        if not claim.take():
            self.say(f"another process tells {', '.join(self._trackers)} of this run")
            self._trackers = {}
        try:
            with store.claim("trackers"):  # MLflow makes its tables: of processes that begin at once, one fails
                self._start(store, folder, config)
            yield
        except Stopped:
            self._finish("stopped")
            raise
        except BaseException:
            self._finish("failed")
            raise
        else:
            self._finish("finished")
        finally:
            claim.release()

    def _start(self, store: Store, folder: Path, config: Config) -> None:
        waiting, self._trackers = self._trackers, {}
        for name, tracker in waiting.items():
            run = Tracked(folder.name, _id(folder), folder, store.root, _told(config), _tags(config))
            self._has[name] = dict(_begun(name, partial(tracker.start, run)))
            self._trackers[name] = tracker
            self.say(f"tracked by {name}: {tracker.place}")

    def follow(self, stage: str, log: Path) -> None:
        """Tell what a stage's log, `metrics.jsonl`, has and a tracker has not yet; all of it must stand."""
        if self._trackers:
            self._tell([row(stage, line["step"], line) for line in lines_of(log)])

    def conclude(self, stages: Path, results: Mapping[str, Any]) -> None:
        """Tell the logs of all stages, and the results: each measure of each stage, and the interval of the last one.

        Args:
            stages: folder of the store's stages.
        """
        if not self._trackers:
            return
        score = primary(results["headline"])
        values = {key: results["headline"].get(key) for key in (score, "images")}
        values |= dict(zip((f"{score}_low", f"{score}_high"), results["headline"].get("interval", ()), strict=False))
        for found in results["stages"]:
            self.follow(found["stage"], stages / found["key"] / "metrics.jsonl")
            measures = found["networks"].get("averaged", {})
            values |= {f"{found['stage']}/{name}": value for name, value in measures.items()}
        self._tell([row("result", 1, values)])

    def _tell(self, rows: Sequence[Row]) -> None:
        def tell(name: str, tracker: Tracker) -> None:
            has = self._has[name]
            new = [one for one, (steps, step) in zip(rows, map(step_of, rows), strict=True) if step > has.get(steps, 0)]
            if new:
                tracker.log(new)
                has |= new[-1]

        self._each(tell)

    def _finish(self, state: State) -> None:
        self._each(lambda name, tracker: tracker.finish(state))

    def _each(self, do: Callable[[str, Tracker], None]) -> None:
        """For every tracker; one that fails is left out from here on, and the run goes on."""
        for name, tracker in [*self._trackers.items()]:
            try:
                with redirect_stdout(io.StringIO()):  # theirs is the results'
                    do(name, tracker)
            except Exception as error:  # a network, a disk, a service: whatever it is, no result depends on it
                del self._trackers[name]
                said = (
                    f"{name} failed and is left out: {one_line(error)}; the same command tells it later what it missed"
                )
                print(said, file=sys.stderr)  # also of a run that is silent otherwise, as those of a comparison


def _installed(module: str) -> bool:
    """Whether a package is there; a folder of that name is not one, as wandb leaves it where it was called."""
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _begun(name: str, do: Callable[[], Any]) -> Any:
    try:
        with redirect_stdout(io.StringIO()):
            return do()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"--track {name}: {one_line(error)}") from None


def _id(folder: Path) -> str:
    """What trackers know a run by, kept in its folder; a new one where its stages have become others since."""
    file, stages = folder / "tracking.json", read_run(folder)["stages"]
    known = read_json(file) if file.is_file() else {}
    if known.get("stages") != stages:
        known = {"id": uuid.uuid4().hex[:16], "stages": stages}
        write_json(file, known)
    return str(known["id"])


def _told(config: Config) -> dict[str, Any]:
    return {key: value for key, value in flatten(config).items() if value is not None}


def _tags(config: Config) -> dict[str, str]:
    parts = {section: getattr(config, section) for section in PARTS}
    return {section: part.name for section, part in parts.items() if part} | {"data": config.data.name}
