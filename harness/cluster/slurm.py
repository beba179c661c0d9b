"""Slurm by its commands: sbatch, squeue, scontrol, sacct, sinfo."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslkit.errors import UserError

PATIENCE = 60.0  # seconds for an answer
ENDED: tuple[str, ...] = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
)
ENDED += ("REVOKED", "TIMEOUT")  # all other states are of jobs that run or will
CUT_OFF = ("BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "TIMEOUT")  # not by a fault of the stage
NO_SUCH = "Requested node configuration is not available"
DOWN: tuple[str, ...] = (
    "Unable to contact slurm controller",
    "Socket timed out",
    "Connection refused",
    "Zero Bytes were transmitted",
)
DOWN += ("slurm_persist_conn_open", "Unexpected message received", "Slurm temporarily unable")


class Silent(Exception):
    """Slurm does not answer just now."""


@dataclass(frozen=True)
class Seen:
    """A job, as Slurm knows it."""

    id: str  # of a task of an array as 123_4
    state: str
    reason: str
    time: str = ""  # that it has run
    waits: str = ""  # for which job

    @property
    def not_launched(self) -> bool:
        """Whether Slurm could not launch it, and holds it until somebody releases it."""
        return self.state == "PENDING" and self.reason.startswith("launch failed")

    @property
    def lives(self) -> bool:
        never = self.reason == "DependencyNeverSatisfied"
        return self.state not in ENDED and not never


def available() -> None:
    """Make sure that there is a Slurm.

    Raises:
        UserError: there is none.
    """
    if not shutil.which("sbatch"):
        raise UserError(
            "--cluster slurm: there is no sbatch here; give the command where jobs are submitted, or "
            "--cluster print for files that other schedulers run"
        )


def check(options: Mapping[str, str]) -> None:
    """Make sure that Slurm would take a job with these options.

    Raises:
        UserError: it would not.
    """
    available()
    try:
        made = _call(["sbatch", "--test-only", *flags(options), "--wrap", "true"])
    except Silent as error:
        raise UserError(f"--cluster slurm: Slurm does not answer: {error}") from None
    said = _said(made)
    if made.returncode and not (NO_SUCH in said and _waits_for_nodes()):
        asked = ",".join(["slurm", *(f"{key}={value}" for key, value in options.items())])
        raise UserError(f"--cluster {asked}: {said.replace(NO_SUCH, 'no node has what is asked for')}")


def flags(options: Mapping[str, str]) -> list[str]:
    return [f"--{key}={value}" if value else f"--{key}" for key, value in options.items()]


def submit(script: Path, more: Sequence[str], descriptor: int) -> str:
    """Submit a script; the number of the job.

    Args:
        more: options beside those in the script.
        descriptor: open file that sbatch inherits.

    Raises:
        UserError: Slurm refuses it.
        Silent: it may be submitted or not.
    """
    made = _call(["sbatch", "--parsable", *more, str(script)], (descriptor,))
    if made.returncode:
        raise UserError(f"--cluster slurm: {_said(made)}")
    return made.stdout.strip().partition(";")[0]  # NUMBER;CLUSTER


def jobs(names: Collection[str]) -> dict[tuple[str, int], Seen]:
    """Name and number of a task -> how it is, of all that Slurm still knows.

    Raises:
        Silent: it does not answer.
    """
    if not names:
        return {}
    made = _call(["squeue", "-h", "-r", "-a", "-t", "all", "-n", ",".join(sorted(names)), "-o", "%j|%F|%K|%T|%M|%E|%r"])
    if made.returncode:
        raise Silent(_said(made))
    found = {}
    for line in made.stdout.splitlines():
        name, job, task, state, time, waits, reason = line.split("|", 6)
        if task.isdigit():
            why, after = ("" if word in ("None", "(null)") else word for word in (reason, waits))
            found[name, int(task)] = Seen(f"{job}_{task}", state, why, time, after)
    return found


def last_state(job: str) -> str:
    """How a job that Slurm has forgotten ended, by its accounting; "" where there is none, or no row of the job."""
    if not shutil.which("sacct"):
        return ""
    made = _call(["sacct", "-n", "-P", "-X", "-o", "State", "-j", job])
    lines = made.stdout.split("\n") if made.returncode == 0 else []
    return lines[-2].partition(" ")[0] if len(lines) > 1 else ""  # CANCELLED by 0


def show(job: str) -> dict[str, str]:
    """What `scontrol show job` says of one job: JobState, EndTime and more; nothing where Slurm does not know it.

    Raises:
        Silent: it does not answer.
    """
    made = _call(["scontrol", "show", "job", "-o", job])
    if made.returncode:
        return {}
    return dict(re.findall(r"(\w[\w/:]*)=(\S*)", made.stdout))


def requeue(job: str) -> str:
    """Put a running job back; "" or why that was refused.

    Raises:
        Silent: Slurm does not answer.
    """
    made = _call(["scontrol", "requeue", job])
    return _said(made) if made.returncode else ""


def release(job: str) -> None:
    """Let a job run that Slurm holds because it could not be launched."""
    _call(["scontrol", "release", job])


def cancel(job: str) -> None:
    _call(["scancel", job])


def largest_array() -> int:
    """Tasks of an array, at most.

    Raises:
        Silent: Slurm does not answer.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _call(["scontrol", "show", "config"]).stdout, re.MULTILINE)
    return max(1, int(found[1]) - 1) if found else 1000


def longest(partition: str) -> float | None:
    """Minutes that a job of a partition may have, "" for the usual one; None where nothing limits them."""
    made = _call(["scontrol", "show", "partition", "-o", *([partition] if partition else [])])
    lines = [line for line in made.stdout.splitlines() if partition or " Default=YES " in line]
    found = re.search(r" MaxTime=(?:(\d+)-)?(\d+):(\d+):(\d+)", lines[0]) if lines else None
    return int(found[1] or 0) * 1440 + int(found[2]) * 60 + int(found[3]) if found else None


def _waits_for_nodes() -> bool:
    """Whether nodes are away that may come back: `--test-only` refuses what would wait for those."""
    made = _call(["sinfo", "-h", "-N", "-o", "%T"])
    return any(state.rstrip("*~#!%$@^-") not in ("idle", "mixed", "allocated") for state in made.stdout.split())


def _call(words: Sequence[str], descriptors: Sequence[int] = ()) -> subprocess.CompletedProcess[str]:
    try:
        made = subprocess.run(
            words, capture_output=True, text=True, timeout=PATIENCE, pass_fds=descriptors, check=False, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise Silent(f"{words[0]} gave no answer in {PATIENCE:.0f} s") from None
    except OSError as error:
        raise UserError(f"--cluster slurm: {words[0]} cannot be run: {error.strerror}") from None
    if made.returncode and any(said in made.stderr for said in DOWN):
        raise Silent(_said(made))
    return made


def _said(made: subprocess.CompletedProcess[str]) -> str:
    """What it says on standard error, in one line."""
    lines = [line.strip() for line in made.stderr.splitlines() if line.strip() and "--help" not in line]
    said = "; ".join(re.sub(r"^(sbatch|squeue|scontrol): (error: )?", "", line) for line in lines)
    return said or f"{made.args[0]} ended with code {made.returncode}"
