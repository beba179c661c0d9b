"""A comparison from its plan to its folder: what will be done, doing it, and keeping it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from sslkit.config.duration import duration
from sslkit.errors import UserError
from sslkit.harness.numbers.statistics import SEEDS, detectable, seeds_needed, smallest_p
from sslkit.harness.plan.arms import Comparison, is_control
from sslkit.harness.plan.cost import costs
from sslkit.harness.plan.survey import Planned, Survey, distinct, row_names, sentences
from sslkit.harness.plan.times import stage_seconds
from sslkit.harness.stored import ledger
from sslkit.harness.work.execute import Task, Work, execute
from sslkit.machine import resolve_machine
from sslkit.prepare import prepare
from sslkit.store import PathLike, Store
from sslkit.terminal import count, say
from sslkit.terminal.progress import tally
from sslkit.terminal.told import event


@dataclass(frozen=True)
class Options:
    """How a comparison is carried out; nothing of it changes a result."""

    name: str = "compare"  # beginning of its folder's name
    study: str = ""  # whose arms they are
    jobs: int | None = None
    keep: bool = False  # weights of all stages
    plugins: tuple[PathLike, ...] = ()
    track: str = ""  # trackers that are told of every run, also of those that are finished
    work: Work = execute


def settled(comparison: Comparison, runs: PathLike, name: str) -> Comparison:
    """With device and precision: those that the unfinished comparison stored, else what `auto` comes to here."""
    folder = Store(runs).run_folder(name, comparison.digest)
    known = ledger.known(folder)
    if known:
        return replace(comparison, machine=known["comparison"]["machine"])
    arm, condition, seed = comparison.runs()[0]
    machine = resolve_machine(prepare(comparison.request(arm, condition, seed), Store(runs).data).config)
    return replace(comparison, machine={"device": machine.device, "precision": machine.precision})


def introduce(
    comparison: Comparison, found: Survey, runs: PathLike, console: Console, *, timed: bool
) -> dict[str, Any]:
    """Say what will be trained, what differs and what it can show; `timed` also says how long it takes.

    Returns the same for programs.
    """
    store = Store(runs)
    asked = [
        (condition, arm)
        for condition, arms in comparison.requests.items()
        for arm in arms
        if arm != comparison.reference and not is_control(arm)
    ]
    single = sum(len(run.stages) for run in found.runs)
    shared = f", not {single}: equal ones are trained once" if single > len(found.specs) else ""
    differences = distinct(found, comparison)
    apart = sentences(differences)
    arms, conditions = len(comparison.arms), len(comparison.conditions)
    heading = f"what methods change in the reference, {comparison.reference!r} (reference -> method):"
    lines = [
        *comparison.remarks,
        *([heading, *apart] if apart else []),
        *nothing_to_compare(found, comparison.reference),
        f"{count(len(found.runs), 'run')} = {count(arms, 'method')} x {count(conditions, 'condition')} "
        f"({'; '.join(comparison.conditions)}) x "
        f"{count(comparison.seeds, 'seed')}; {count(len(found.specs), 'stage')} to train{shared}",
        power(comparison.seeds, max(1, len(asked))),
    ]
    new = [key for key in found.specs if not store.finished(key)]
    seconds = _seconds(comparison, found, new, store.data) if timed else None
    if timed:
        time = "a time that only a machine with a GPU tells" if seconds is None else duration(seconds)
        lines.append(f"dry run, nothing is trained; not stored yet: {count(len(new), 'stage')}, {time} with --jobs 1")
    for line in lines:
        say(console, line)
    return {
        "methods": [*comparison.arms],
        "conditions": [*comparison.conditions],
        "seeds": comparison.seeds,
        "reference": comparison.reference,
        "runs": len(found.runs),
        "stages": len(found.specs),
        "missing": len(new),
        "seconds": seconds,
        "differences": differences,
    }


def nothing_to_compare(found: Survey, reference: str) -> list[str]:
    """Arms that are one and the same, and a reference that no condition has."""
    said = []
    for condition in dict.fromkeys(run.condition for run in found.runs):
        same: dict[str, list[str]] = {}
        for arm, run in found.first(condition).items():
            same.setdefault([*run.stages.values()][-1], []).append(arm)
        said += [f"{condition}: {' and '.join(arms)} are the same" for arms in same.values() if len(arms) > 1]
    rows = row_names(found.runs).values()
    if not any(row == reference or row.startswith(f"{reference}, ") for row in rows):
        said.append(f"no method is called {reference}, so none is compared with it; --reference names another")
    return said


def power(seeds: int, comparisons: int) -> str:
    """What so many seeds can show at best."""
    if seeds < SEEDS:
        return f"{count(seeds, 'seed')}: values without intervals, which take {SEEDS} seeds"
    p, needed, asked = smallest_p(seeds), seeds_needed(comparisons), count(comparisons, "comparison")
    least = (
        f"smallest difference detected with 80% power: {detectable(1.0, seeds, comparisons):.1f} times the SD of the "
        "differences over the seeds"
    )
    if seeds < needed:
        return (
            f"{count(seeds, 'seed')} cannot reach p <= 0.05 by the sign-flip test in {asked} ({needed} seeds can), so "
            f"the Bonferroni CI decides; {least}"
        )
    adjusted = f", {comparisons * p:.2g} adjusted for {asked}" if comparisons > 1 else ""
    return f"smallest p that {count(seeds, 'seed')} can reach (sign-flip test): {p:.2g}{adjusted}; {least}"


def _seconds(comparison: Comparison, found: Survey, keys: Collection[str], cache: Path) -> float | None:
    """Time of these stages; None where only a machine with a GPU tells it."""
    seconds = stage_seconds(comparison, found, cache)
    return None if seconds is None else sum(seconds[key] for key in keys)


def compare(comparison: Comparison, found: Survey, runs: PathLike, console: Console, how: Options) -> Path:
    """Train what is missing, storing every run as it ends; the comparison's folder.

    Raises:
        UserError: the store cannot be written to, or no run succeeded.
        Stopped: interrupted; the same call goes on.
    """
    store = Store(runs)
    folder = store.run_folder(how.name, comparison.digest)
    about = _about(comparison, found, store, folder) | {"study": how.study}
    entries = ledger.begin(store, folder, comparison, found, how.keep, about)
    failed: list[Planned] = []
    with tally("runs", len(entries), console) as advance:

        def report(done: Planned) -> None:
            ledger.note(store, folder, done)
            about = {"method": done.arm, "condition": done.condition, "seed": done.seed}
            event("run_ended", **about, run=done.run, error=done.error)
            advance(1)
            if done.error:
                failed.append(done)
                say(console, f"{done.arm}, {done.condition}, seed {done.seed} failed: {done.error}")

        todo = [run for run in entries if run.error or how.keep or how.track]
        advance(len(entries) - len(todo))
        told = {"track": how.track} if how.track else {}
        requests = [comparison.request(run.arm, run.condition, run.seed) | told for run in todo]
        tasks = [Task(run, keys, runs, how.plugins, how.keep) for run, keys in zip(todo, requests, strict=True)]
        how.work(tasks, how.jobs, report)
    if len(failed) == len(entries):
        raise UserError(f"no run succeeded; the first one: {failed[0].error}")
    if said := ledger.drop(store, folder, found):
        say(console, said)
    return folder


def _about(comparison: Comparison, found: Survey, store: Store, folder: Path) -> dict[str, Any]:
    """What is told of the comparison beside its plan; costs are counted once."""
    labeled = {
        run.condition: int(found.specs[next(iter(run.stages.values()))].data["labeled"][0]) for run in found.runs
    }
    return {
        "differences": distinct(found, comparison),
        "labeled": labeled,
        "costs": ledger.known(folder).get("costs") or costs(comparison, found, store.data),
    }
