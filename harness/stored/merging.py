"""Stores put together by content: stages by key, runs and comparisons by folder, what was decoded where it is missing.

All is compared before anything is copied, and each piece is there whole or not at all. Sources are only read.
"""

from __future__ import annotations

import filecmp
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sslkit.errors import UserError
from sslkit.harness.stored import Stages, comparisons, runs, size
from sslkit.harness.stored.ledger import MARK, known
from sslkit.record import KEY, read_run
from sslkit.record.results import read_results
from sslkit.store import WEIGHTS, Store, checkpoint, claims, is_done, read_json, write_json
from sslkit.store.bases import FOLDER, content
from sslkit.store.claims import Claim
from sslkit.store.files import filling, replacing
from sslkit.terminal import count

OWN = ("seconds", "memory", "versions")  # of a result: how, not what
CACHES = ("data", "features", FOLDER)  # what is named by its content


@dataclass
class Share:
    """What a source has, and what of it is new."""

    root: Path
    stages: list[str] = field(default_factory=list)  # names, of those that are new
    weights: list[str] = field(default_factory=list)  # names of stages there, whose weights were dropped there
    runs: list[str] = field(default_factory=list)
    comparisons: list[str] = field(default_factory=list)  # new, or with more of their runs finished
    there: dict[str, int] = field(default_factory=dict)  # kind -> how many are there already
    remarks: list[str] = field(default_factory=list)  # what is left out

    def count(self, kind: str) -> None:
        """One more is there already."""
        self.there[kind] = self.there.get(kind, 0) + 1

    def said(self, would: bool) -> str:
        """A sentence on what it brings."""
        kinds = {"stage": self.stages, "run": self.runs, "comparison": self.comparisons}
        parts = [f"{count(len(new), kind)} ({self.there.get(kind, 0)} more there)" for kind, new in kinds.items()]
        weights = f", weights of {count(len(self.weights), 'stage')}" if self.weights else ""
        files = [self.root / "stages" / key for key in self.stages] + [self.root / name for name in self.runs]
        brings = "would bring" if would else "brought"
        return f"{self.root} {brings} {', '.join(parts)}{weights}: {sum(map(size, files)) / 1e6:.1f} MB"


def plan(sources: Sequence[Path], into: Path) -> list[Share]:
    """What each source brings.

    Raises:
        UserError: one is no store; two have the same stage or run with other results.
    """
    for source in sources:
        if not (source / "stages").is_dir():
            raise UserError(f"{source} is not a store: it has no folder stages")
        if source.resolve() == into.resolve():
            raise UserError(f"{source} is the store that is merged into; name the others")
    stages = {path.name: path for path in _published(into)}
    folders = {run.name: into / run.name for run in (runs(into) if into.is_dir() else []) if run.state == "finished"}
    return [_share(source, into, stages, folders) for source in sources]


def _share(source: Path, into: Path, stages: dict[str, Path], folders: dict[str, Path]) -> Share:
    """What a source brings; `stages` and `folders`, where those known so far lie, are added to."""
    share = Share(source)
    _add_stages(share, stages)
    for run in runs(source):
        if run.state != "finished":
            share.remarks.append(f"{source / run.name} is {run.state} ({run.reason}): left out")
        elif run.name not in folders:
            folders[run.name] = source / run.name
            share.runs.append(run.name)
        else:
            _check_run(source / run.name, folders[run.name])
            share.count("run")
    for found in comparisons(source):
        theirs, mine = known(source / found.name), known(into / found.name)
        if not theirs:
            share.remarks.append(f"{source / found.name} cannot be read: left out")
        elif _united(mine, theirs) != mine:
            share.comparisons.append(found.name)
        else:
            share.count("comparison")
    share.remarks += _unfinished(source)
    return share


def _add_stages(share: Share, stages: dict[str, Path]) -> None:
    problems, other = Stages(share.root), 0
    for stage in _published(share.root):
        mine = stages.get(stage.name)
        if problem := problems.problem(stage.name):
            share.remarks.append(f"{stage} {problem}: left out")
        elif mine is None:
            stages[stage.name] = stage
            share.stages.append(stage.name)
        else:
            other += not _equal(stage, mine)
            share.count("stage")
            if (stage / WEIGHTS).is_file() and not (mine / WEIGHTS).is_file():
                share.weights.append(stage.name)
    if other:
        share.remarks.append(
            f"{share.root}: {count(other, 'stage')} that did not run on a CPU have other weights than those known "
            "before, as such devices round; the first ones stay"
        )


def _published(root: Path) -> list[Path]:
    return sorted(p for p in (root / "stages").glob("*") if KEY.fullmatch(p.name) and (p / "result.json").is_file())


def _unfinished(source: Path) -> list[str]:
    """A remark on the stages that are worked on, or were."""
    begun = [path.name[1:] for path in (source / "stages").glob(".*") if KEY.fullmatch(path.name[1:])]
    held = sum(claims.held(source, key) for key in begun)
    parts = [(held, "is being trained", "are being trained"), (len(begun) - held, "is unfinished", "are unfinished")]
    return [
        f"{source}: {count(n, 'stage')} {one if n == 1 else more}: left out; merge again when done"
        for n, one, more in parts
        if n
    ]


def _equal(stage: Path, mine: Path) -> bool:
    """Whether two stages of one key hold the same.

    Raises:
        UserError: they do not, and were trained on a CPU, where they must.
    """
    pair = (stage, mine)
    results = [{k: v for k, v in sorted(read_json(path / "result.json").items()) if k not in OWN} for path in pair]
    files = [[path / name for path in pair] for name in (WEIGHTS, "predictions.safetensors")]
    both = [two for two in files if all(file.is_file() for file in two)]
    same = json.dumps(results[0]) == json.dumps(results[1]) and all(_same_tensors(a, b) for a, b in both)
    if not same and read_json(stage / "spec.json").get("device") == "cpu":
        raise UserError(
            f"{stage} and {mine} are the same stage and have other results; nothing was merged: they are of other "
            "processors or versions, or one is damaged; remove the one that is wrong"
        )
    return same


def _same_tensors(a: Path, b: Path) -> bool:
    """Whether two files hold equal tensors, in whatever order."""
    return filecmp.cmp(a, b, shallow=False) or content(checkpoint.load(a)[0]) == content(checkpoint.load(b)[0])


def _check_run(run: Path, mine: Path) -> None:
    """Refuse two runs of one name with other stages, or on a CPU with other results."""
    if (theirs := _told(run)) != (ours := _told(mine)):
        what = "results" if [row[:2] for row in theirs] == [row[:2] for row in ours] else "stages"
        raise UserError(
            f"{run} and {mine} have one name and other {what}; nothing was merged: remove one of them, or its store"
        )


def _told(run: Path) -> list[tuple[str, str, str]]:
    """Stage, key, and on a CPU what came out, of each stage of a finished run."""
    found = read_results(run)
    try:
        cpu = found["machine"]["device"] == "cpu"
        return [(row["stage"], row["key"], json.dumps(row["networks"]) if cpu else "") for row in found["stages"]]
    except (KeyError, TypeError):
        raise UserError(f"{run / 'results.json'} is damaged: it does not have the results of its stages") from None


def _united(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison as two stores know it: every run that one of them has finished."""
    if not mine:
        return dict(theirs)
    ended = {_place(run): run for run in theirs["runs"] if not run["error"]}
    taken = [ended.get(_place(run), run) if run["error"] else run for run in mine["runs"]]
    return dict(mine) | {"runs": taken, "keep": mine["keep"] or theirs["keep"]}


def _place(run: Mapping[str, Any]) -> tuple[str, str, int]:
    return run["arm"], run["condition"], run["seed"]


def merge(shares: Sequence[Share], into: Path) -> list[str]:
    """Carry out what was planned; what is to be said of that. A kill leaves whole pieces: the same call goes on.

    Raises:
        UserError: it cannot be written.
    """
    store = Store(into)
    store.prepare()
    said = []
    for share in shares:
        for cache in CACHES:
            _bring_cache(share.root / cache, into / cache)
        said += [f"{into}: stage {key} is being trained there: left out" for key in _bring_stages(share, store)]
        with store.alone():
            for name in share.runs:
                _bring_run(share.root / name, into / name)
            for name in share.comparisons:
                _bring_comparison(share.root / name, into / name)
    return said


def _bring_cache(cache: Path, mine: Path) -> None:
    """Copy what is missing of a folder where names tell what lies behind them: files, or folders of features."""
    for there in sorted(cache.glob("[!.]*")):
        here = mine / there.name
        if here.exists():
            continue
        mine.mkdir(exist_ok=True)
        if there.is_file():
            with replacing(here) as temporary:
                shutil.copyfile(there, temporary)
            continue
        with Claim(mine, there.name):  # nobody computes these meanwhile
            if not here.exists():
                with filling(here) as folder:
                    _copy(there, folder)  # names before rows: a row without a name does not count


def _bring_stages(share: Share, store: Store) -> list[str]:
    """Copy stages, and weights that were dropped; names of those that somebody trains in the store just now."""
    busy = []
    for key in [*share.stages, *share.weights]:
        claim = store.claim(key)
        if not claim.take():
            busy.append(key)
            continue
        try:
            stage, mine = share.root / "stages" / key, store.finished(key)
            if mine is None:
                with filling(store.stages / key) as temporary:
                    _copy(stage, temporary)
                shutil.rmtree(store.stages / f".{key}", ignore_errors=True)  # begun, and finished elsewhere
            elif not (mine / WEIGHTS).is_file() and (stage / WEIGHTS).is_file():
                with replacing(mine / WEIGHTS) as temporary:
                    shutil.copyfile(stage / WEIGHTS, temporary)
        finally:
            claim.release()
    return busy


def _bring_run(run: Path, mine: Path) -> None:
    """Copy a finished run; one that was begun under this name goes."""
    if is_done(mine):
        return
    keys = read_run(run)["stages"].values()
    if not all((mine.parent / "stages" / key / "result.json").is_file() for key in keys):
        return  # a stage was left out, which was said
    if mine.is_dir():
        hidden = mine.with_name(f".removed.{mine.name}")
        shutil.rmtree(hidden, ignore_errors=True)
        mine.rename(hidden)
        shutil.rmtree(hidden, ignore_errors=True)
    with filling(mine) as temporary:
        _copy(run, temporary)


def _bring_comparison(theirs: Path, mine: Path) -> None:
    if not (mine / MARK).is_file():
        with filling(mine) as temporary:
            _copy(theirs, temporary)
        return
    write_json(mine / MARK, _united(known(mine), known(theirs)) or known(theirs))


def _copy(folder: Path, into: Path) -> None:
    """The files of a folder, but for hidden ones: those are being written."""
    for file in sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != "."):
        with suppress(FileNotFoundError):  # weights that a comparison drops just now
            shutil.copyfile(file, into / file.name)
