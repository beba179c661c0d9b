"""From the words of the command line to what carries out a comparison on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from sslkit.errors import UserError
from sslkit.harness.cluster import slurm
from sslkit.harness.cluster.driver import Driver
from sslkit.harness.cluster.jobs import estimates, resources, took
from sslkit.harness.cluster.printed import Printer
from sslkit.harness.cluster.words import Words, megabytes, parse
from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.survey import Survey
from sslkit.harness.stored import ledger
from sslkit.harness.work.execute import Work, execute
from sslkit.store import PathLike, Store
from sslkit.terminal import say


@dataclass(frozen=True)
class Asked:
    """Where a comparison is carried out."""

    words: Words | None  # None: here
    bundle: float  # minutes
    detach: bool

    @classmethod
    def of(cls, cluster: str | None, bundle: float, detach: bool) -> Asked:
        """As the options of the command line say.

        Raises:
            UserError: they cannot be.
        """
        words = None if cluster is None else parse(cluster)
        if not bundle >= 0:
            raise UserError(f"--bundle is a number of minutes and must be 0 or more, got {bundle}")
        if detach and (words is None or words.kind != "slurm"):
            raise UserError("--detach is for --cluster slurm, whose jobs go on by themselves")
        if words is not None and words.kind == "slurm":
            slurm.check(words.options)
        return cls(words, bundle, detach)


def work_of(asked: Asked, comparison: Comparison, found: Survey, runs: PathLike, name: str, console: Console) -> Work:
    """What trains the stages of a comparison that are missing.

    Raises:
        UserError: Slurm would not take its jobs.
    """
    if asked.words is None:
        return execute
    store = Store(runs)
    folder = store.run_folder(name, comparison.digest).absolute()
    options = resources(asked.words.options, _machine(comparison, found))
    for line in _said(asked.words.options, options, found, store):
        say(console, line)

    def seconds() -> dict[str, float]:
        costs: Mapping[str, Any] = ledger.known(folder).get("costs", {})
        return estimates(comparison, found, store, costs)

    if asked.words.kind == "print":
        return Printer(folder, options, found, seconds, asked.bundle, console)
    if options != asked.words.options:
        slurm.check(options)
    return Driver(folder, options, found, seconds, console, asked.bundle, asked.detach)


def _machine(comparison: Comparison, found: Survey) -> dict[str, Any]:
    spec = next(iter(found.specs.values()))
    return {"device": spec.device, "threads": spec.threads}


def _said(given: Mapping[str, str], options: Mapping[str, str], found: Survey, store: Store) -> list[str]:
    """What was decided for a job, and that its memory will not be enough."""
    decided = [f"{key}={value}" for key, value in options.items() if key not in given]
    decided += [] if "time" in given else ["time by the estimate"]
    lines = [f"of each job: {', '.join(decided)}; --cluster …,key=value says it otherwise"] if decided else []
    asked, before = megabytes(options), took(store, found) / 2**20
    if asked is not None and asked < before:
        lines.append(
            f"warning: mem={options['mem']} is less than the {before:.0f} MB that a stage like these took before"
        )
    return lines
