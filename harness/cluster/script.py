"""The text that sbatch is given."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping

from sslkit.harness.cluster.forest import Array, ranges
from sslkit.harness.cluster.slurm import flags
from sslkit.harness.cluster.submissions import Submission

PATHS = ("PYTHONPATH", "VIRTUAL_ENV")  # by which a job finds the same packages


def command(submission: Submission, task: str) -> str:
    """What runs one task."""
    return f"{shlex.quote(sys.executable)} -m sslkit.harness.cluster.job {shlex.quote(str(submission.folder))} {task}"


def text(submission: Submission, array: Array, options: Mapping[str, str], jobs: int | None) -> str:
    """The script of an array; what it waits for is said on sbatch's command line.

    Args:
        options: of sbatch, as asked for.
        jobs: how many of them at a time; None: as many as Slurm will.
    """
    ours = {
        "job-name": submission.name,
        "array": ranges(array.jobs) + (f"%{jobs}" if jobs else ""),
        "output": str(submission.folder).replace("%", "%%") + "/%a.log",
        "open-mode": "append",
        "requeue": "",
        "nodes": "1",
        "ntasks": "1",
    }
    lines = [f"#SBATCH {' '.join(map(_quoted, flags({key: value})))}" for key, value in {**ours, **options}.items()]
    exports = [f"export {name}={shlex.quote(os.environ[name])}" for name in PATHS if os.environ.get(name)]
    return "\n".join(["#!/bin/bash", *lines, *exports, f"exec {command(submission, '$SLURM_ARRAY_TASK_ID')}", ""])


def waiting(array: Array, before: str) -> list[str]:
    """Options of sbatch for an array that waits.

    Args:
        before: number of the array that it waits for, task by task, or what stands for it.
    """
    after = f"aftercorr:{before}" if before else f"afterok:{array.after}" if array.after else ""
    return [f"--dependency={after}", "--kill-on-invalid-dep=yes"] if after else []


def _quoted(word: str) -> str:
    return f'"{word}"' if " " in word else word
