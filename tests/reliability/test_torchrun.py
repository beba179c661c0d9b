"""A run by torchrun is the run of one process with as many micro-batches; it stops, goes on and fails as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit import evaluation, ranks
from sslkit.cli import main
from sslkit.errors import UserError
from tests.reliability.rank import SHARE
from tests.reliability.small import SMALL, checkpoints, leftovers, one_line, stages
from tests.reliability.test_processes import apart

ROOT = Path(__file__).parents[2]
EXACT = ("--precision", "fp32", "--val", "0.2", "--set", "semi.optimizer=sgd", "--set", "finetune.optimizer=sgd")
TWICE = ("--set", "finetune.accumulate=2", "--set", "semi.accumulate=2")
BATCHNORM = ("--algo", "mean_teacher", "--backbone", "wrn_10_1")


@dataclass(frozen=True)
class Ended:
    """What the ranks of a run left."""

    codes: list[int | None]  # None: killed
    out: list[str]
    err: list[str]


def torchrun(root: Path, *more: str, world: int = 2, fault: str = "") -> Ended:
    """The small run by torchrun, in the store `root`."""
    folder = root.parent / "ranks"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.code"):
        old.unlink()
    small = [word for word in SMALL if not (word == "flexmatch" and "--algo" in more)]
    if "--algo" in more:
        small = without(SMALL, "--algo", "--backbone", "labeler.tau=0.3")
    line = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(world), "--log-dir", str(folder)]
    line += ["--redirects", "3", "-m", "tests.reliability.rank", str(folder), fault]
    before = set(folder.iterdir())
    subprocess.run(
        [*line, *small, *EXACT, *more, "--runs", str(root)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=170,
        check=False,
    )
    (logs,) = (path for path in set(folder.iterdir()) - before if path.is_dir())
    texts = {
        name: [p.read_text("utf-8") for p in sorted(logs.glob(f"attempt_0/*/{name}.log"))]
        for name in ("stdout", "stderr")
    }
    codes = [int(p.read_text("utf-8")) if (p := folder / f"{r}.code").exists() else None for r in range(world)]
    return Ended(codes, texts["stdout"], texts["stderr"])
