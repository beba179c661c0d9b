"""Removing runs and comparisons from a store, with the stages that nothing else there refers to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError
from sslkit.harness.stored import Stages, Stored, StoredComparison, comparisons, runs, size
from sslkit.record import KEY
from sslkit.store import Store
from sslkit.store.bases import FOLDER, base_of


@dataclass(frozen=True)
class Removal:
    """What would go."""

    comparisons: list[str]
    runs: list[str]
    stages: list[str]
    frozen: list[str]  # files of frozen weights
    size: int  # bytes
    remarks: list[str]


def plan(root: Path, names: Sequence[str]) -> Removal:
    """What the removal of these runs and comparisons takes with it.

    A comparison takes the runs that were made for it and are in no other. A stage goes when no run and no comparison
    that stays refers to it; where one that stays cannot be read, all stages stay.

    Raises:
        UserError: no such run.
    """
    known_runs, known = {run.name: run for run in runs(root)}, {c.name: c for c in comparisons(root)}
    asked = [_named(root, name) for name in names]
    for name in asked:
        if name not in known_runs and name not in known:
            raise UserError(f"no run or comparison {name!r} in {root}; `sslkit runs ls --runs {root}` lists them")
    gone = [known[name] for name in dict.fromkeys(asked) if name in known]
    kept = [c for c in known.values() if c not in gone]
    with_them = {run for c in gone for run in c.own if run in known_runs} - {run for c in kept for run in c.runs}
    chosen = [known_runs[name] for name in dict.fromkeys([*(n for n in asked if n in known_runs), *sorted(with_them)])]
    others = [run for run in known_runs.values() if run not in chosen]
    stages, remarks = _stages(chosen, gone, others, kept)
    remarks += [
        f"{c.name} still shows {run.name}, from its stages" for c in kept for run in chosen if run.name in c.runs
    ]
    sizes = Stages(root)
    bytes_ = sum(size(root / name) for name in [*(c.name for c in gone), *(run.name for run in chosen)]) + sum(
        map(sizes.size, stages)
    )
    frozen = _frozen(root, stages)
    bytes_ += sum((root / FOLDER / name).stat().st_size for name in frozen)
    return Removal([c.name for c in gone], [run.name for run in chosen], stages, frozen, bytes_, remarks)


def _named(root: Path, name: str) -> str:
    """Name of a folder of the store, which may be given with its path."""
    path = Path(name)
    return path.name if path.parent.resolve() == root.resolve() else name


def _stages(
    chosen: list[Stored], gone: list[StoredComparison], others: list[Stored], kept: list[StoredComparison]
) -> tuple[list[str], list[str]]:
    """Names of the stages that go, and what is to be said."""
    unknown = [run.name for run in others if not run.stages] + [c.name for c in kept if c.reason]
    if unknown:
        return [], [f"all stages stay: what {', '.join(unknown)} refers to cannot be read"]
    needed = {name for run in others for name in run.stages.values()} | {name for c in kept for name in c.stages}
    mine = {name for run in chosen for name in run.stages.values()} | {name for c in gone for name in c.stages}
    return sorted(name for name in mine - needed if KEY.fullmatch(name)), []


def _frozen(root: Path, gone: Sequence[str]) -> list[str]:
    """Names of the files of frozen weights that no stage needs but those that go, be it published or not."""
    kept = [path for path in (root / "stages").glob("*") if path.is_dir() and path.name.removeprefix(".") not in gone]
    try:
        needed = {base_of(stage) for stage in kept}
    except UserError:  # one is damaged, and may need any of them
        return []
    return sorted(file.name for file in (root / FOLDER).glob("*.safetensors") if file.stem not in needed)


def remove(root: Path, names: Sequence[str], expected: Removal) -> None:
    """Remove what was planned: stages first, so that what a kill leaves can be named again.

    Raises:
        UserError: the store has changed since, or a stage is being trained; then nothing was removed.
    """
    store = Store(root)
    with store.alone():
        found = plan(root, names)
        if (found.runs, found.stages, found.comparisons) != (expected.runs, expected.stages, expected.comparisons):
            raise UserError(f"{root} has changed meanwhile; call it again")
        for left in [*root.glob(".removed.*"), *store.stages.glob(".removed.*")]:  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        named = {name for run in runs(root) if run.name in found.runs for name in run.stages.values()}
        with _held(store, sorted(named | {*found.stages})):
            for name in found.stages:
                for folder in (store.stages / name, store.stages / f".{name}"):
                    _remove(folder)
                (store.stages / f".{name}.lock").unlink(missing_ok=True)  # of earlier versions
            for name in found.frozen:
                (root / FOLDER / name).unlink(missing_ok=True)
            for name in [*found.runs, *found.comparisons]:
                _remove(root / name)


@contextmanager
def _held(store: Store, names: Sequence[str]) -> Iterator[None]:
    """Claims of stages: nobody trains them meanwhile.

    Raises:
        UserError: one is being trained.
    """
    with ExitStack() as claims:
        for claim in map(store.claim, names):
            if not claim.take():
                raise UserError(f"stage {claim.folder.name} is being trained; stop that first; nothing was removed")
            claims.callback(claim.release)
        yield


def _remove(folder: Path) -> None:
    """A folder, in one step for all who look at the store."""
    if not folder.is_dir():
        return
    hidden = folder.with_name(f".removed.{folder.name}")
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        os.rename(folder, hidden)
        shutil.rmtree(hidden)
    except OSError as error:
        raise UserError(f"cannot remove {folder}: {error.strerror}") from None
