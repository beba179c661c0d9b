"""Runs of a comparison as jobs of a cluster: one SLURM array through submitit, which also runs them locally.

Submitit does the scheduling, here its jobs are made and their results collected. A job that is lost is a run that
failed; the same command goes on.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sslkit.errors import UserError, one_line
from sslkit.harness.plan.survey import Planned
from sslkit.harness.work.execute import Report, Task, one

KINDS = ("slurm", "local")
POLL = 2.0  # seconds


@dataclass(frozen=True)
class Cluster:
    """Where jobs go."""

    kind: str
    parameters: dict[str, Any] = field(default_factory=dict)  # of submitit's AutoExecutor

    def __call__(self, tasks: Sequence[Task], jobs: int, report: Report) -> None:
        """Submit the runs as one array, `jobs` of them at a time, and wait for them; as `execute` does.

        Runs that share a stage wait for each other on the store's lock, so the store must be on a file system with
        locks that all nodes see.

        Raises:
            UserError: submitit is not installed, or refuses the parameters.
        """
        if not tasks:
            return
        executor = _executor(self, Path(tasks[0].runs) / "cluster", jobs)
        with executor.batch():
            submitted = [executor.submit(one, _from_anywhere(task)) for task in tasks]
        waiting = {job: task.planned for job, task in zip(submitted, tasks, strict=True)}
        try:
            while waiting:
                for job in [job for job in waiting if job.done()]:
                    report(_result(job, waiting.pop(job)))
                time.sleep(POLL if waiting and self.kind == "slurm" else 0.1)
        except BaseException:
            for job in waiting:
                job.cancel()
            raise


def _from_anywhere(task: Task) -> Task:
    """The task with whole paths: a job need not begin in this folder."""
    plugins = tuple(Path(plugin).absolute() for plugin in task.plugins)
    return replace(task, runs=Path(task.runs).absolute(), plugins=plugins)


def parse(text: str) -> Cluster:
    """`slurm,partition=gpu,timeout_min=60` -> where jobs go; keys are those of submitit, SLURM's without `slurm_`.

    Raises:
        UserError: an unknown kind, or a parameter without value.
    """
    kind, *words = (word.strip() for word in text.split(","))
    if kind not in KINDS:
        raise UserError(f"--cluster {text}: the first word must be {' or '.join(KINDS)}, then key=value, with commas")
    parameters = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UserError(f"--cluster {text}: {word!r} is not key=value, as in partition=gpu")
        parameters[key] = _value(value)
    return Cluster(kind, parameters)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _executor(cluster: Cluster, folder: Path, jobs: int) -> Any:
    try:
        import submitit
    except ImportError:
        raise UserError("--cluster needs submitit: pip install 'sslkit[slurm]'") from None
    general = ("timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "name")
    named = {k if k in general or k.startswith("slurm_") else f"slurm_{k}": v for k, v in cluster.parameters.items()}
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster.kind)
        executor.update_parameters(**{"name": "sslkit", "slurm_array_parallelism": jobs} | named)
    except Exception as error:  # submitit raises many kinds: no sbatch, an unknown parameter, a value of another type
        raise UserError(f"--cluster {cluster.kind}: {one_line(error)}") from None
    return executor


def _result(job: Any, run: Planned) -> Planned:
    try:
        found: Planned = job.result()
    except Exception as error:  # a job that was killed, or an interruption in it
        return replace(run, run="", error=f"job {job.job_id}: {one_line(error)}")
    return found
