"""`sslkit compare … --status`: how the stages of a comparison stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sslkit.errors import UserError
from sslkit.harness.cluster import slurm
from sslkit.harness.cluster.state import Place, ending, places
from sslkit.harness.plan.survey import Survey
from sslkit.store import Store
from sslkit.training.log import lines_of
from sslkit.training.spec import Spec

STATES = ("running", "waiting", "failed", "missing", "done")


def standing(folder: Path, found: Survey, store: Store) -> list[dict[str, Any]]:
    """A row a stage: where it stands, its job, its step and images a second, why it waits or failed.

    Args:
        folder: of the comparison.

    Raises:
        UserError: Slurm does not answer.
    """
    first = {key: (run, label) for run in reversed(found.runs) for label, key in run.stages.items()}
    open_ = [key for key in first if store.finished(key) is None]
    try:
        jobs = places(folder, open_)
    except slurm.Silent as error:
        raise UserError(f"Slurm does not answer: {error}") from None
    rows = []
    for key, (run, label) in first.items():
        about = {"stage": label, "method": run.arm, "condition": run.condition, "seed": run.seed, "key": key}
        if key not in open_ or store.finished(key):
            rows.append(about | {"state": "done"})
        else:
            rows.append(about | _row(store, found.specs[key], key, jobs.get(key)))
    return sorted(rows, key=lambda row: STATES.index(row["state"]))


def _row(store: Store, spec: Spec, key: str, place: Place | None) -> dict[str, Any]:
    """Of a stage that is not finished."""
    if store.held(key):
        job = {"job": place.job, "time": place.seen.time, "log": str(place.log)} if place and place.seen else {}
        return {"state": "running", "steps": int(spec.training["steps"])} | speed(store, spec, key) | job
    if place is None:
        return {"state": "missing", "why": "not submitted"}
    job = {"job": place.job, "log": str(place.log)}
    if place.lives and place.seen is not None:
        reason = "its job runs, and has not come to it yet" if place.seen.state == "RUNNING" else place.seen.reason
        return job | {"state": "waiting", "why": reason}
    failure = place.submission.failures(place.task).get(key)
    return job | {"state": "failed", "why": failure or place.state, "line": ending(place.log)}


def speed(store: Store, spec: Spec, key: str) -> dict[str, Any]:
    """The step that a stage was at when it logged last, and its images a second until then."""
    lines = lines_of(store.stages / f".{key}" / "metrics.jsonl")[-2:]
    if not lines:
        return {"step": 0}
    before = lines[0] if len(lines) > 1 else {"step": 0, "seconds": 0.0}
    took = lines[-1]["seconds"] - before["seconds"]
    rate = {"images_s": (lines[-1]["step"] - before["step"]) * spec.images_a_step / took} if took > 0 else {}
    return {"step": lines[-1]["step"], **rate}


def words(rows: list[dict[str, Any]]) -> Iterator[str]:
    """The rows for people: equal ones of those that wait and are done are counted."""
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        name = f"{row['stage']} of {row['method']}, {row['condition']}, seed {row['seed']}"
        if row["state"] == "running":
            rate = f", {row['images_s']:.0f} images/s" if "images_s" in row else ""
            job = f", job {row['job']} for {row['time']}" if "job" in row else ", no job of this comparison"
            yield f"running: {name}: step {row['step']} of {row['steps']}{rate}{job}"
        elif row["state"] == "failed":
            yield f"failed: {name}: {row['why']}, job {row['job']}; {row['line']}{row['log']}"
        else:
            at = row["state"], row.get("why", "")
            counts[at] = counts.get(at, 0) + 1
    for (state, why), n in counts.items():
        yield f"{state}: {n} {'stage' if n == 1 else 'stages'}{f' ({why})' if why else ''}"
