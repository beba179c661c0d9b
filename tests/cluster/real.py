"""A real Slurm on this machine, and comparisons on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sslkit.harness import load
from sslkit.store import checkpoint

HERE = Path(__file__).parent
STATE = Path(os.environ.get("DIR", "/tmp/sslkit-slurm"))  # as of start_slurm.sh
WORDS = ["--plugin", str(HERE / "slow.py"), "--backbone", "slow", "--algo", "fixmatch", "--threads", "1"]
for key in ("precision=fp32", "device=cpu", "finetune.batch=8", "semi.batch=8", "semi.mu=2", "finetune.steps=10"):
    WORDS += ["--set", key]
SHORT = ["--seeds", "1", "--set", "semi.steps=10"]
LONG = ["--seeds", "1", "--set", "semi.steps=100", "--set", "control.run=false", "--keep"]


def possible() -> str:
    """Why no Slurm can be started here; "" where it can."""
    if os.geteuid() != 0:
        return "needs root"
    if not (shutil.which("apt-get") and Path("/etc/debian_version").is_file()):
        return "needs Debian"
    return ""


def start(accounting: bool = False, **limits: int) -> None:
    """Start Slurm, with limits as start_slurm.sh has them: CPUS=2."""
    environment = os.environ | {name: str(value) for name, value in limits.items()}
    words = [str(HERE / "start_slurm.sh"), "acct" if accounting else "noacct"]
    made = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


def stop() -> None:
    """End Slurm, and forget its jobs."""
    subprocess.run([str(HERE / "stop_slurm.sh")], check=True)
    shutil.rmtree(STATE / "ctld", ignore_errors=True)


def tell(*words: str) -> str:
    """What a command of Slurm says."""
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def restart_controller(away: float = 4.0) -> None:
    """slurmctld ends, which saves its state, and is away for so many seconds."""
    number = (STATE / "run" / "slurmctld.pid").read_text().strip()
    os.kill(int(number), signal.SIGTERM)
    wait(lambda: not Path(f"/proc/{number}").exists())
    time.sleep(away)
    subprocess.run(["slurmctld"], check=True)


def wait(until: Callable[[], bool], seconds: float = 180.0) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, f"not within {seconds} s: {tell('squeue', '-a', '-t', 'all')}"
        time.sleep(0.2)


@dataclass
class Comparison:
    """One comparison with a store of its own."""

    folder: Path  # where it is called
    words: Sequence[str]  # what is compared
    cluster: str = "slurm"
    slow: float = 0.2  # seconds of a forward pass in training
    bundle: float = 0.0  # minutes

    def start(self, *more: str, here: bool = False) -> subprocess.Popen[str]:
        """The command, in a process of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [sys.executable, "-m", "sslkit", "compare", *WORDS, *self.words, "--format", "csv", "--out", "t.csv"]
        if not here:
            words += ["--cluster", self.cluster, "--bundle", str(self.bundle)]
        slow = "0" if here else str(self.slow)
        environment = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1", "SSLKIT_SLOW": slow}
        environment |= {"COLUMNS": "200"}
        return subprocess.Popen(
            [*words, *more],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *more: str, here: bool = False) -> str:
        """The command until it ends, without an error; what it says."""
        process = self.start(*more, here=here)
        said, _ = process.communicate(timeout=500)
        assert process.returncode == 0, said
        return said

    @property
    def place(self) -> Path:
        """The comparison's folder."""
        return next((self.folder / "runs").glob("compare-*"))

    def names(self) -> list[str]:
        return [path.name for path in (self.folder / "runs").glob("compare-*/cluster/sslkit-*")]

    def tasks(self, state: str) -> list[str]:
        """Its jobs in a state of Slurm's, as 12_3."""
        names = self.names()
        told = tell("squeue", "-h", "-r", "-a", "-t", state, "-o", "%F_%K", "-n", ",".join(names)) if names else ""
        return told.split()

    def logs(self) -> str:
        return "".join(path.read_text() for path in sorted((self.folder / "runs").glob("compare-*/cluster/*/*.log")))

    def log_of(self, job: str) -> str:
        """What a job, as 12_3, has said."""
        number, _, task = job.partition("_")
        ids = (self.folder / "runs").glob("compare-*/cluster/*/id")
        log = next(path.parent for path in ids if path.read_text().strip() == number) / f"{task}.log"
        return log.read_text() if log.exists() else ""

    def trained(self) -> Counter[str]:
        """How often each stage was trained to its end."""
        return Counter(re.findall(r"\d (\S.*): finished, ", self.logs()))

    def values(self) -> pd.DataFrame:
        return load(self.place).drop(columns=["seconds", "memory", "versions"])


def assert_equal(found: Comparison, here: Comparison) -> None:
    """The same table as of a run in one process."""
    pd.testing.assert_frame_equal(found.values(), here.values())
    assert not found.values()["error"].any()


def assert_same_weights(found: Comparison, here: Comparison) -> None:
    """All stages left the same weights, bit for bit."""
    stages = [path.parent.name for path in (here.folder / "runs" / "stages").glob("*/weights.safetensors")]
    assert stages
    for name in stages:
        mine, theirs = (
            checkpoint.load(of.folder / "runs" / "stages" / name / "weights.safetensors")[0] for of in (found, here)
        )
        assert mine.keys() == theirs.keys()
        assert all(bool((mine[key] == theirs[key]).all()) for key in mine), name
