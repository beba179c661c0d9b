"""What two runs, or two stores, differ in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sslkit.config.resolve import read_toml
from sslkit.errors import UserError
from sslkit.harness.stored import runs
from sslkit.harness.stored.ledger import MARK
from sslkit.record.results import read_results
from sslkit.store import is_done
from sslkit.training.evaluation import primary

ABSENT = "not there"


def is_store(path: Path) -> bool:
    """Whether a folder is a store and no run."""
    return (path / "stages").is_dir()


def of_runs(a: Path, b: Path) -> dict[str, Any]:
    """`configuration`: key -> both values, where they differ; `results`: stage -> `a`, `b`, `difference` in percent.

    Raises:
        UserError: one is no run, or cannot be read.
    """
    configs, tables = [], []
    for folder in (a, b):
        if (folder / MARK).is_file():
            raise UserError(f"{folder} is a comparison; name two of its runs")
        configs.append(read_toml(folder / "config.toml"))
        tables.append(_scores(folder) if is_done(folder) else {})
    first, second = configs
    keys = {key: [config.get(key, ABSENT) for config in configs] for key in {**first, **second}}
    stages = {stage: [table.get(stage) for table in tables] for stage in {**tables[0], **tables[1]}}
    return {
        "configuration": {key: pair for key, pair in keys.items() if pair[0] != pair[1]},
        "results": {s: {"a": x, "b": y, "difference": _minus(y, x)} for s, (x, y) in stages.items()},
    }


def _minus(y: float | None, x: float | None) -> float | None:
    return None if x is None or y is None else y - x


def _scores(run: Path) -> dict[str, float | None]:
    """Stage -> top-1, or mAP, of the averaged network in percent; None of one without a classifier."""
    try:
        stages = [(stage["stage"], stage["networks"]) for stage in read_results(run)["stages"]]
        found = {name: networks["averaged"] if networks else None for name, networks in stages}
        return {name: None if scores is None else 100 * scores[primary(scores)] for name, scores in found.items()}
    except (KeyError, TypeError):
        raise UserError(f"{run / 'results.json'} is damaged: it does not have the results of its stages") from None


def of_stores(a: Path, b: Path) -> dict[str, Any]:
    """Runs, by name, that are finished in `a` or `b` only, or have other results in `b`; and damaged ones of either.

    Equal names have equal configurations.
    """
    stored = [{run.name: run for run in runs(root)} for root in (a, b)]
    damaged = {
        str(root / r.name): r.reason for root, s in zip((a, b), stored, strict=True) for r in s.values() if _bad(r)
    }
    names = [{name for name, run in found.items() if run.state == "finished"} for found in stored]
    both = sorted(names[0] & names[1])
    tables = {name: [_scores(root / name) for root in (a, b)] for name in both}
    return {
        "only_a": sorted(names[0] - names[1]),
        "only_b": sorted(names[1] - names[0]),
        "different": {name: pair for name, pair in tables.items() if pair[0] != pair[1]},
        "same": [name for name, pair in tables.items() if pair[0] == pair[1]],
        "damaged": damaged,
    }


def _bad(run: Any) -> bool:
    return bool(run.state == "damaged")
