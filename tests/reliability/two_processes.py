"""Train every algorithm with two gloo processes, each in a folder of its own: python two_processes.py FOLDER.

The processes are forked after the imports; only this fresh process, which has run nothing, may do so.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sslkit.store import checkpoint
from tests.reliability.jobs import ALGORITHMS, MORE, job, train

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {"semi__optimizer": optimizer}) for name in ALGORITHMS for optimizer in ("sgd", "adamw")),
    *((name, {"semi__optimizer": "sgd"}) for name in MORE),
    ("ema_teacher", {"semi__optimizer": "sgd", "mixer": "none"}),
    ("flexmatch", {"semi__optimizer": "sgd", "mixer": "prob_pseudo", "teacher": "ema"}),
    ("fixmatch", {"semi__optimizer": "sgd", "semi__accumulate": 2, "semi__clip": 0.5}),
    *(("ema_teacher", {"semi__optimizer": "sgd", "adapt": adapter}) for adapter in ("lora", "adaptformer")),
]


def label(algorithm: str, also: dict[str, Any]) -> str:
    return "-".join([algorithm, *(f"{key}={value}" for key, value in also.items())])


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for algorithm, also in CASES:
        made, into = job(algorithm, world=2, **also), folder / label(algorithm, also) / str(rank)
        train(made, into)
        assert rank == 0 or not list(into.iterdir())  # the leader alone writes
        checkpoint.save(into / "weights.safetensors", made.weights(), {})
    dist.destroy_process_group()


def main(folder: Path) -> int:
    ranks = []
    for rank in range(2):
        pid = os.fork()
        if pid == 0:
            try:
                work(rank, folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        ranks.append(pid)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
