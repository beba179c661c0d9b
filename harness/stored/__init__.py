"""The store as it is: runs and comparisons, finished, unfinished or damaged; what they need, and its size on disk.

Nothing is changed or removed here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslkit.config.resolve import read_toml
from sslkit.errors import UserError
from sslkit.harness.stored.ledger import MARK
from sslkit.record import read_run
from sslkit.record.results import read_results
from sslkit.store import FOLDERS, is_done, read_json
from sslkit.store.bases import base_file, base_of

FILES = ("run.json", "config.toml", "results.json", "split.json")


@dataclass(frozen=True)
class Stored:
    """A run in the store."""

    name: str
    state: str  # finished, unfinished, damaged
    reason: str  # why it is damaged, or how far an unfinished one came
    data: str
    method: str
    backbone: str
    labels: str
    seed: int | None
    top1: float | None  # percent, of the averaged network at the last step
    map: float | None  # likewise, where images have several labels
    size: int  # bytes, with its stages, which it may share
    date: str
    stages: dict[str, str] = field(repr=False)  # label -> name of the folder


@dataclass(frozen=True)
class StoredComparison:
    """A comparison in the store: its runs by name of the folder, and the stages that it refers to."""

    name: str
    runs: list[str]
    own: list[str]  # those that nobody trained before by hand
    stages: set[str]
    reason: str = ""  # why it cannot be read


class Stages:
    """The stages of a store; each is looked at once."""

    def __init__(self, root: Path) -> None:
        self.root = root / "stages"
        self._problems: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def problem(self, name: str) -> str:
        """What is wrong with a published stage, or nothing."""
        if name not in self._problems:
            self._problems[name] = _problem(self.root / name)
        return self._problems[name]

    def size(self, name: str) -> int:
        """Bytes of a stage, be it published or not."""
        if name not in self._sizes:
            self._sizes[name] = size(self.root / name) + size(self.root / f".{name}")
        return self._sizes[name]

    def frozen(self, names: Iterable[str]) -> int:
        """Bytes of the frozen weights that stages need, each counted once."""
        files = {file for name in names for folder in (name, f".{name}") for file in frozen_of(self.root / folder)}
        return sum(file.stat().st_size for file in files if file.is_file())


def frozen_of(stage: Path) -> list[Path]:
    """The file of frozen weights that a stage needs, if any; none where the stage is damaged."""
    try:
        name = base_of(stage)
    except UserError:
        return []
    return [base_file(stage, name)] if name else []


def _problem(folder: Path) -> str:
    if not folder.is_dir():
        return "is not in the store"
    try:
        read_json(folder / "result.json")
        lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    except UserError as error:
        return f"is damaged: {error}"
    except (OSError, UnicodeDecodeError):
        return "is damaged: metrics.jsonl cannot be read"
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError:
            return f"is damaged: metrics.jsonl is torn in line {number}"
    return ""


def size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(file.lstat().st_size for file in folder.rglob("*") if not file.is_dir())


def folders(root: Path) -> list[Path]:
    """Folders below the root that may be runs or comparisons.

    Raises:
        UserError: there is no such store.
    """
    if not root.is_dir():
        raise UserError(f"there is no store {root}; --runs DIR names another")
    known = (folder for folder in root.iterdir() if folder.name not in FOLDERS and folder.name[0] != ".")
    return sorted(folder for folder in known if folder.is_dir() and not folder.is_symlink())


def runs(root: Path) -> list[Stored]:
    """All runs of a store, the newest last; damaged ones have a reason and stop nothing."""
    stages = Stages(root)
    found = [stored(folder, stages) for folder in folders(root) if any((folder / name).is_file() for name in FILES)]
    return sorted(found, key=lambda run: (run.date, run.name))


def comparisons(root: Path) -> list[StoredComparison]:
    """All comparisons of a store, by name."""
    return [comparison(folder) for folder in folders(root) if (folder / MARK).is_file()]


def comparison(folder: Path) -> StoredComparison:
    try:
        told = read_json(folder / MARK)["runs"]
        names = [run.get("run") or run["folder"] for run in told]
        own = [name for name, run in zip(names, told, strict=True) if run["own"]]
        stages = {key for run in told for key in run["stages"].values()}
        if not all(isinstance(name, str) for name in (*names, *stages)):
            raise TypeError
        return StoredComparison(folder.name, names, own, stages)
    except UserError as error:
        return StoredComparison(folder.name, [], [], set(), str(error))
    except (KeyError, TypeError, AttributeError):
        return StoredComparison(folder.name, [], [], set(), f"{folder / MARK} is damaged, or of another version")


def stored(folder: Path, stages: Stages) -> Stored:
    """One run."""
    problems: list[str] = []
    about = _tried(lambda: read_run(folder), problems)
    config = _tried(lambda: read_toml(folder / "config.toml"), problems)
    results = _tried(lambda: read_results(folder), problems) if is_done(folder) else {}
    mine: dict[str, str] = about.get("stages", {})
    for label, name in mine.items():
        problem = stages.problem(name)
        if problem and (is_done(folder) or (stages.root / name).is_dir()):
            problems.append(f"stage {label} {problem}")
    state = "damaged" if problems else "finished" if is_done(folder) else "unfinished"
    ready = sum(not stages.problem(name) for name in mine.values())
    return Stored(
        name=folder.name,
        state=state,
        reason="; ".join(problems) or (f"{ready} of {len(mine)} stages" if state == "unfinished" else ""),
        data=str(config.get("data.name", "")),
        method=_method(config, mine),
        backbone=str(config.get("backbone.name", "")),
        labels=str(config.get("data.labels", "")),
        seed=config.get("seed"),
        top1=_headline(results, "top1"),
        map=_headline(results, "map"),
        size=size(folder) + sum(stages.size(name) for name in set(mine.values())) + stages.frozen(mine.values()),
        date=str(about.get("date", "")),
        stages=mine,
    )


def _tried(read: Any, problems: list[str]) -> dict[str, Any]:
    """What `read` gives; nothing, and its error among the problems, where it cannot."""
    try:
        found: dict[str, Any] = read()
    except UserError as error:
        problems.append(str(error))
        return {}
    return found


def _method(config: Mapping[str, Any], stages: Mapping[str, str]) -> str:
    if stages and "semi" not in stages:
        return list(stages)[-1]
    names = (str(config.get(f"{section}.name") or "") for section in ("algo", "mixer"))
    return " x ".join(name for name in names if name and name != "none")


def _headline(results: Mapping[str, Any], score: str) -> float | None:
    headline = results.get("headline")
    value = headline.get(score) if isinstance(headline, dict) else None
    return 100 * value if isinstance(value, float) else None
