"""What was submitted for a comparison, in its folder: `cluster/NAME/`, one for each array of jobs.

    about.json   what it trains; written before it is submitted
    job.sh       what sbatch was given
    id           the number that Slurm gave it; missing where the program was killed just then: NAME finds it
    0.log, …     what its jobs said
    0.json, …    why stages of theirs failed

A name is used once, so the jobs of Slurm that have it are those of this folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sslkit.errors import UserError
from sslkit.store import read_json, write_json
from sslkit.store.files import write_text

FOLDER, MARK, SCRIPT, ID = "cluster", "about.json", "job.sh", "id"


@dataclass(frozen=True)
class Submission:
    """An array of jobs. All paths are absolute: a job need not begin where the command was given."""

    folder: Path  # `cluster/NAME`
    tasks: dict[int, list[str]]  # number -> keys of the stages that this job trains, in this order
    weights: list[str]  # keys of finished stages that are trained again, for their weights
    plugins: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def comparison(self) -> Path:
        return self.folder.parent.parent

    @property
    def runs(self) -> Path:
        """Root of the store."""
        return self.comparison.parent

    @property
    def id(self) -> str:
        """The number that Slurm gave it, or "" where that is not known."""
        with suppress(OSError):
            return (self.folder / ID).read_text("ascii").strip()
        return ""

    def submitted(self, number: str) -> None:
        write_text(self.folder / ID, number + "\n")

    def log(self, task: int) -> Path:
        return self.folder / f"{task}.log"

    def failures(self, task: int) -> dict[str, str]:
        """Key -> why this stage failed, as the job has seen it."""
        with suppress(UserError):
            return {str(key): str(why) for key, why in read_json(self.folder / f"{task}.json").items()}
        return {}

    def fail(self, task: int, failures: dict[str, str]) -> None:
        write_json(self.folder / f"{task}.json", failures)

    def write(self, script: str) -> None:
        """Store it, before it is submitted.

        Raises:
            UserError: it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.folder}: {error.strerror}") from None
        write_text(self.folder / SCRIPT, script)
        about = asdict(self)
        del about["folder"]
        write_json(self.folder / MARK, about)


def read(folder: Path) -> Submission:
    """What was stored.

    Raises:
        UserError: it is missing or damaged.
    """
    about: dict[str, Any] = read_json(folder / MARK)
    try:
        tasks = {int(number): list(keys) for number, keys in about["tasks"].items()}
        return Submission(folder.absolute(), tasks, about["weights"], about["plugins"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(f"{folder / MARK} is damaged: it does not say what its jobs train") from None


def of(comparison: Path) -> list[Submission]:
    """All of a comparison, or with the pattern `STORE/*` of a store, the first one first."""
    found = []
    for file in sorted(comparison.parent.glob(f"{comparison.name}/{FOLDER}/*/{MARK}")):
        with suppress(UserError):  # damaged: its jobs are found finished or not by what they left in the store
            found.append(read(file.parent))
    return found


def new_folder(comparison: Path) -> Path:
    """A folder, not made yet, whose name no other submission of this user has: of place and number."""
    place = hashlib.sha256(str(comparison.absolute()).encode()).hexdigest()[:8]
    taken = {folder.name for folder in (comparison / FOLDER).glob("sslkit-*")}
    number = len(taken)
    while (name := f"sslkit-{place}-{number:04d}") in taken:
        number += 1
    return comparison.absolute() / FOLDER / name


@contextmanager
def alone(comparison: Path) -> Iterator[int]:
    """While entered, no other process submits for this comparison; the descriptor that sbatch is to inherit.

    So it is for as long as an sbatch runs, whose parent was killed: the next one finds its job.
    """
    (comparison / FOLDER).mkdir(parents=True, exist_ok=True)
    descriptor = os.open(comparison / FOLDER / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        with suppress(OSError):  # a drive without locks: two commands at one moment may submit the same, and train once
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
