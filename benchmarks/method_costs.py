"""What a step of every method costs beside FixMatch's: arithmetic, and time of the processor.

    python -m benchmarks.method_costs

A step of WRN-10-1 at 32 px, 16 labelled and 48 unlabelled images, all pseudo-labels kept, one thread. Arithmetic is
of products and convolutions, forward and backward, as torch counts them. Time is a median without that of views, and
every method's turn stands beside a turn of FixMatch, so that both have the machine as it is. A method that takes longer
than its arithmetic has a ratio of time above that of FLOPs.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.test_semi_step import make_job, timed
from sslkit import registry
from sslkit.frozen import OnFeatures
from sslkit.machine import Machine
from sslkit.training.engine import Engine
from sslkit.training.log import Log

ONE = Machine("cpu", "fp32", 1)
BASE = "fixmatch"


class Stepping:
    """A semi stage of an algorithm, a step at a time."""

    def __init__(self, name: str, folder: Path) -> None:
        folder.mkdir()
        kept: dict[str, Any] = {"labeler.tau": 0.0 if name == BASE else None}
        self.engine = Engine(make_job("wrn_10_1", 32, ONE, algo=name, **kept), folder)
        self.log, self.index, self.seconds = Log(folder, 0, 0), 0, list[float]()
        self.engine.algorithm.train()
        self.engine.algorithm.start(self.engine)

    def step(self) -> float:
        """Processor seconds but for the views."""
        views: dict[str, float] = {}
        start = time.process_time()
        with timed(self.engine.job.loader, "batch", views, "views", time.process_time):
            self.engine.step(self.index, self.log)
        self.index += 1
        return time.process_time() - start - views["views"]

    def flops(self) -> float:
        with FlopCounterMode(display=False) as counter:
            self.step()
        return float(counter.get_total_flops())


def compared(name: str, base: Stepping, base_flops: float, rounds: int, folder: Path) -> dict[str, Any]:
    """Ratios of arithmetic and of time to those of `base`."""
    one = Stepping(name, folder / name)
    flops = one.flops()
    one.step()
    turns = [(one.step(), base.step()) for _ in range(rounds)]
    one.log.close()
    mine, theirs = (median(side) for side in zip(*turns, strict=True))
    return {"method": name, "flops": flops / base_flops, "time": mine / theirs, "ms": 1000 * mine}


@click.command()
@click.option("--rounds", default=7, help="Steps of each method, and as many of FixMatch beside them.")
@click.argument("methods", nargs=-1)
def main(rounds: int, methods: tuple[str, ...]) -> None:
    torch.set_num_threads(1)
    every = [entry.name for entry in registry.entries("algorithm") if entry.origin == "built in"]
    every = [name for name in every if not issubclass(registry.load("algorithm", name), OnFeatures)]
    print("| method | FLOPs | time | time / FLOPs | ms |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        base = Stepping(BASE, Path(place, "base"))
        base_flops = base.flops()
        base.step()
        for name in methods or every:
            row = compared(name, base, base_flops, rounds, Path(place))
            more = row["time"] / row["flops"]
            print(f"| {name} | {row['flops']:.2f} | {row['time']:.2f} | {more:.2f} | {row['ms']:.0f} |", flush=True)
        base.log.close()


if __name__ == "__main__":
    main()
