"""One rank of a run by torchrun or srun, for the tests: torchrun … -m tests.reliability.rank FOLDER FAULT run …

Its exit code goes to FOLDER/RANK.code. A fault is RANK:STEP:KIND, what that rank does at a step of the semi stage.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch

from sslkit import cli
from sslkit.errors import UserError
from sslkit.machine import ranks
from sslkit.store import checkpoint
from sslkit.training import evaluation
from sslkit.training.engine import Engine
from sslkit.training.log import Log

SHARE = 100  # images of one evaluation batch, so that there are several to share out
RANK = os.environ.get("RANK") or os.environ.get("SLURM_PROCID", "")


def fail(kind: str, engine: Engine) -> None:
    if kind == "stop":  # the whole of it, as a scheduler does
        os.kill(os.getppid(), signal.SIGTERM)
        time.sleep(1)
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "wrong":
        raise UserError("this rank cannot")
    elif kind == "bug":
        raise ZeroDivisionError("a bug")
    elif kind == "nan":
        with torch.no_grad():
            next(iter(engine.algorithm.student.parameters())).fill_(float("nan"))
    elif kind == "full":

        def full(*args: object, **keys: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        checkpoint.save_file = full  # type: ignore[attr-defined]


def plant(fault: str) -> None:
    rank, step, kind = fault.split(":")
    original = Engine.step
    if rank != RANK:
        return

    def step_(self: Engine, index: int, log: Log) -> None:
        if self.spec.stage == "semi" and index == int(step):
            fail(kind, self)
        original(self, index, log)

    Engine.step = step_  # type: ignore[method-assign]


def main(folder: Path, fault: str, *arguments: str) -> None:
    evaluation.BATCH = SHARE
    ranks.MEETING = timedelta(seconds=float(os.environ.get("MEETING", "120")))
    if fault:
        plant(fault)
    sys.argv = ["sslkit", *arguments]
    code = 1  # of what Python itself prints
    try:
        cli.entry_point()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        (folder / f"{RANK}.code").write_text(str(code), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
