"""Which processes are one run: those of torchrun, or the tasks of a Slurm step, which `srun` starts.

torchrun says it by RANK, WORLD_SIZE and so on. Slurm has names of its own, and no address: the tasks meet on the step's
first node, where task 0 is, at a port that all compute from the numbers of job and step.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from sslkit.errors import UserError

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
STEPS = 0xFFFFFFF0  # numbers from here on are no steps: a batch script, a shell of salloc
PORTS = range(12000, 32000)  # below those that a system gives to whoever asks for any


@dataclass(frozen=True)
class Launch:
    """A process's place among those of a run."""

    by: str = ""  # torchrun, srun; nothing where it is alone
    rank: int = 0
    world: int = 1
    local: int = 0  # its number on this machine
    neighbours: int = 1  # processes on this machine, this one included
    host: str = ""
    port: int = 0
    step: str = ""  # JOB.STEP of Slurm
    own_gpus: bool = False  # it may see those alone that are its own


def launch(environment: Mapping[str, str] = os.environ) -> Launch:
    """How this process was started.

    Raises:
        UserError: a part of it is not told.
    """
    if environment.get("WORLD_SIZE", "1") != "1":
        return _by_torchrun(environment)
    if "WORLD_SIZE" not in environment and _tasks(environment) > 1 and not _in_a_shell():
        return _by_srun(environment)
    return Launch()


def _by_torchrun(told: Mapping[str, str]) -> Launch:
    missing = [name for name in TORCHRUN if name not in told]
    if missing:
        raise UserError(f"WORLD_SIZE is set and {missing[0]} is not; start several processes by torchrun, or unset it")
    rank, world, local, port = (_number(told, name) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT"))
    return Launch("torchrun", rank, world, local, _number(told, "LOCAL_WORLD_SIZE", "1"), told["MASTER_ADDR"], port)


def _by_srun(told: Mapping[str, str]) -> Launch:
    step = f"{told.get('SLURM_JOB_ID', '')}.{told['SLURM_STEP_ID']}"
    nodes = told.get("SLURM_STEP_NODELIST") or told.get("SLURM_JOB_NODELIST", "")
    if not nodes:
        raise UserError("SLURM_STEP_ID is set and SLURM_JOB_NODELIST is not; start the tasks by srun, or unset it")
    rank, local = _number(told, "SLURM_PROCID"), _number(told, "SLURM_LOCALID")
    counts = per_node(told.get("SLURM_STEP_TASKS_PER_NODE", ""))
    node = _number(told, "SLURM_NODEID", "0")
    neighbours = counts[node] if node < len(counts) else local + 1
    own = "SLURM_GPUS_PER_TASK" in told
    return Launch("srun", rank, _tasks(told), local, neighbours, first_host(nodes), port_of(step), step, own)


def _tasks(told: Mapping[str, str]) -> int:
    """Tasks of the step that this process is one of; 1 where it is in none, as in a batch script."""
    if _number(told, "SLURM_STEP_ID", str(STEPS)) >= STEPS or "SLURM_PROCID" not in told:
        return 1
    return _number(told, "SLURM_STEP_NUM_TASKS", told.get("SLURM_NTASKS", "1"))


def _in_a_shell() -> bool:
    """Whether somebody types, as after `srun -n 4 --pty bash`: tasks of a run have no terminal to read from."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _number(told: Mapping[str, str], name: str, default: str = "") -> int:
    try:
        return int(told.get(name, default))
    except ValueError:
        raise UserError(
            f"{name} must be a whole number, got {told.get(name, '')!r}; srun or torchrun sets it"
        ) from None


def first_host(nodes: str) -> str:
    """The first name of Slurm's list, as `gpu[03-05,9],login`: of `scontrol`, or the first number in each bracket."""
    try:
        found = subprocess.run(["scontrol", "show", "hostnames", nodes], check=True, capture_output=True, text=True)
        return found.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):  # it may be missing within a container
        first = re.match(r"(?:\[[^\]]*\]|[^,\[])+", nodes)
        return re.sub(r"\[(\d+)[^\]]*\]", r"\1", first[0] if first else nodes)


def per_node(text: str) -> list[int]:
    """`2(x3),1` -> [2, 2, 2, 1]."""
    found: list[int] = []
    for count, times in re.findall(r"(\d+)(?:\(x(\d+)\))?", text):
        found += [int(count)] * int(times or 1)
    return found


def port_of(step: str) -> int:
    """A port for the tasks of a step, the same for all."""
    return PORTS[int(hashlib.sha256(step.encode()).hexdigest(), 16) % len(PORTS)]


def check_alone(command: str) -> None:
    """Refuse several processes for a command that is one.

    Raises:
        UserError: it was started as several; says what to write.
        SystemExit: the same, in those that need not say it again.
    """
    found = launch()
    if found.world == 1:
        return
    if found.rank:
        raise SystemExit(2)
    write = f"`srun -n 1 sslkit {command} …`" if found.by == "srun" else f"`sslkit {command} …`"
    raise UserError(f"{found.by} started {found.world} processes, and `sslkit {command}` is one: write {write}")
