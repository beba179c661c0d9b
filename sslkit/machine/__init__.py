"""What the run stands on: device, precision, threads."""

from __future__ import annotations

import contextlib
import math
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sslkit.config import Config
from sslkit.errors import UserError
from sslkit.machine import ranks
from sslkit.machine.launch import launch
from sslkit.machine.precision import faster
from sslkit.version import __version__


@dataclass(frozen=True)
class Machine:
    """What the requests `auto` came to. Stored with the run, and never decided again."""

    device: str
    precision: str
    threads: int  # of each process
    processes: int = 1  # that share every step
    steps: Mapping[str, int] = field(default_factory=dict)  # of every stage, where they come from a time
    reason: str = ""  # of the precision, where it was not asked for

    def use(self) -> None:
        """Set this process up for it: its threads, and of several processes each its GPU.

        Raises:
            UserError: fewer GPUs than processes.
        """
        torch.set_num_threads(self.threads)
        if self.device == "cuda" and self.processes > 1:
            place, gpus = launch(), torch.cuda.device_count()
            local = place.local % gpus if place.own_gpus else place.local
            if local >= gpus:
                raise UserError(f"{_neighbours()} processes on a machine with {gpus} GPUs; one a GPU")
            torch.cuda.set_device(local)


def resolve_machine(config: Config) -> Machine:
    """Device, precision and threads for a configuration.

    Raises:
        UserError: the device that was asked for is not usable.
    """
    device = _device(config.device)
    if config.fsdp and ranks.count() == 1:
        raise UserError(
            "--fsdp gives each of several processes (torchrun, srun) a shard, and there is one process; drop it"
        )
    if config.fsdp and config.compile:
        raise UserError("--fsdp and --compile do not go together yet; drop one of them")
    if config.fsdp and config.adapt:
        raise UserError("--fsdp is for networks of which all trains, --adapt freezes most; drop one of them")
    if device == "mps" and ranks.count() > 1:  # pytorch/pytorch#160732
        raise UserError(
            "gloo, by which processes exchange tensors, knows no Apple GPU; use --device cpu, or one process"
        )
    threads = config.threads or max(1, min((os.cpu_count() or 1) // _neighbours(), 8))
    torch.set_num_threads(threads)
    asked = config.precision != "auto"
    precision, reason = (config.precision, "") if asked else faster(config, device)
    return Machine(device, precision, threads, ranks.count(), reason=reason)


def _neighbours() -> int:
    """Processes of the run on this machine, this one included."""
    return launch().neighbours if ranks.count() > 1 else 1


def memory() -> float:
    """Bytes of memory that this process may use: the machine's, or those of its control group."""
    limits = [math.inf]
    if hasattr(os, "sysconf"):  # not on Windows
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):  # no control groups here, or no limit
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text("ascii")))
    return min(limits)


def versions() -> dict[str, str]:
    """What trains a stage, a stamp for its result."""
    return {"sslkit": __version__, "torch": str(torch.__version__)}


def description() -> dict[str, str]:
    """Versions and hardware, a stamp for the run."""
    import numpy
    import timm

    return {
        **versions(),
        "timm": timm.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _device(asked: str) -> str:
    if asked == "cuda" and not torch.cuda.is_available():
        built = f"torch {torch.__version__} was built for CUDA {torch.version.cuda or 'none'}"
        raise UserError(f"no GPU that torch can use: {built}, {_driver()}; use --device cpu")
    if asked == "mps" and not torch.backends.mps.is_available():
        raise UserError("this machine has no Apple GPU that torch can use; use --device cpu")
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def unusable_gpu() -> str:
    """A sentence, with both versions, when there is an NVIDIA GPU and torch cannot use it; else nothing."""
    driver = _driver()
    if torch.cuda.is_available() or driver == "no NVIDIA driver was found":
        return ""
    return f"there is a GPU ({driver}) that torch {torch.__version__} (CUDA {torch.version.cuda}) cannot use"


def _driver() -> str:
    try:
        with open("/proc/driver/nvidia/version", encoding="utf-8") as file:
            words = file.readline().split()
        return "NVIDIA driver " + next(word for word in words if word[0].isdigit() and "." in word)
    except (OSError, StopIteration):
        return "no NVIDIA driver was found"


def with_peak(device: str, train: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `train` returns, and as "memory" the largest that it took, in bytes; None where that is not known.

    On a GPU it is what torch allocated, on Linux the resident memory of the process, data and libraries included.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return train() | {"memory": torch.cuda.max_memory_allocated()}
    _resident(forget=True)
    return train() | {"memory": _resident()}


def _resident(forget: bool = False) -> int | None:
    """Largest resident memory of this process since it was forgotten, in bytes; None where Linux does not tell."""
    try:
        if forget:
            Path("/proc/self/clear_refs").write_text("5", "ascii")
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None
