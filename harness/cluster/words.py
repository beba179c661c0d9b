"""`--cluster slurm,partition=gpu,time=240`: where jobs go, and the options of sbatch by their long names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sslkit.errors import UserError

KINDS = ("slurm", "print")
OURS: tuple[str, ...] = (
    "array",
    "chdir",
    "dependency",
    "error",
    "export",
    "job-name",
    "kill-on-invalid-dep",
    "open-mode",
    "output",
)
OURS += ("nodes", "no-requeue", "ntasks", "open-mode", "output", "parsable", "requeue", "signal", "test-only", "wait")
OURS += ("wrap",)
ELSEWHERE = {"timeout-min": "time (minutes)", "mem-gb": "mem, as in mem=4G", "name": "--name"}


@dataclass(frozen=True)
class Words:
    """Where jobs go, and how."""

    kind: str
    options: Mapping[str, str] = field(default_factory=dict)  # of sbatch, without the dashes in front


def parse(text: str) -> Words:
    """`slurm,partition=gpu,exclude=a,b` -> kind and options of sbatch; `_` is `-`.

    A word without `=` belongs to the value before it, and a comma between brackets is none, so lists of nodes are
    written as Slurm writes them. An option without a value is written with an empty one: `exclusive=`.

    Raises:
        UserError: an unknown kind, an option twice, or one that this program sets.
    """
    kind, *words = re.split(r",(?![^\[]*\])", text)
    if kind.strip() not in KINDS:
        raise UserError(f"--cluster {text}: the first word must be {' or '.join(KINDS)}, then key=value, with commas")
    options: dict[str, str] = {}
    last = ""
    for word in words:
        key, equals, value = word.strip().partition("=")
        if not equals and last:
            options[last] += f",{key}"
            continue
        last = key.replace("_", "-")
        if not equals or not re.fullmatch(r"[a-z][a-z-]*", last):
            raise UserError(f"--cluster {text}: {word!r} is not key=value, as in partition=gpu")
        if last in ELSEWHERE:
            raise UserError(
                f"--cluster {text}: keys are the long options of sbatch; in the place of {key} write {ELSEWHERE[last]}"
            )
        if last in OURS or last in options:
            raise UserError(
                f"--cluster {text}: {key} {'stands twice' if last in options else 'is set by sslkit'}; leave it out"
            )
        options[last] = value
    return Words(kind.strip(), options)


def megabytes(options: Mapping[str, str]) -> float | None:
    """Memory that is asked for a job, as sbatch reads `mem`; None where it is not said for the whole job."""
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", options.get("mem", ""), re.IGNORECASE)
    if not found or found[1] == "0":  # 0: all of the node's
        return None
    return int(found[1]) * 1024.0 ** ("KMGT".index(found[2].upper() or "M") - 1)
