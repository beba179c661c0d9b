"""A semi step on one thread of a CPU: sslkit, a plain loop of the same maths, an older build, and what might help.

    python -m benchmarks.steps [--case vit_tiny/32] [--passing half] [--precision bf16] [--old CHECKOUT] [SIDE ...]

FixMatch's loss with an averaged teacher and no mixer, on random pixels with views of Semi-ViT. `plain` runs every
strong view through the student and gives rejected ones the weight 0. Each side is a process that makes one step when
it is its turn; turns go round, and a ratio is the median over rounds of two neighbouring turns, in processor time.
Half of the views pass: every other one, whatever the network says. Spread is from the first to the last quartile.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import click

# network/pixels: labelled images a step, three times as many unlabelled ones, and options of the network
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "vit_tiny/32": (6, {}),
    "vit_base/32": (4, {"backbone.patch": 8}),
    "wrn_28_2/32": (8, {}),
    "efficientnet_lite0/96": (12, {}),
    "resnet18/64": (2, {}),
    "resnet18/64 frozen": (2, {"semi.norm_stats": "frozen"}),
}


@dataclass(frozen=True)
class Side:
    """How a process makes its steps."""

    code: str = "sslkit"  # or plain
    change: str = ""  # of the job: see `changed`
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


SIDES = {
    "sslkit": Side(),
    "plain": Side("plain"),
    "old": Side(),
    "contiguous": Side(change="contiguous"),
    "channels_last": Side(change="channels_last"),
    "foreach": Side(change="foreach"),
    "one forward": Side(change="one forward"),
    "compile": Side(settings={"semi.compile": True}),
    "memory goes back": Side(change="memory goes back"),
    "huge pages": Side(environment={"THP_MEM_ALLOC_ENABLE": "1"}),
}


class Process:
    """A side at work, in a process of its own."""

    def __init__(self, name: str, asked: dict[str, Any], checkout: Path) -> None:
        side = SIDES[name]
        told = asked | {"code": side.code, "change": side.change, "settings": side.settings}
        environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"} | side.environment
        command = [sys.executable, str(Path(__file__).with_name("steps_side.py")), json.dumps(told)]
        self.process = subprocess.Popen(
            command, env=environment, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        start = time.perf_counter()
        self.first = self.step()
        self.start = time.perf_counter() - start

    def step(self) -> dict[str, float]:
        """Seconds of the processor for one step, and the share of it that is neither forward nor backward."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        found: dict[str, float] = json.loads(self.process.stdout.readline())
        return found

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compared(names: tuple[str, ...], asked: dict[str, Any], old: Path, rounds: int, starts: int) -> dict[str, Any]:
    """Side -> its turns, of several starts of every process."""
    here = Path(__file__).parents[1]
    turns: dict[str, Any] = {name: [] for name in names}
    for _ in range(starts):
        running = {name: Process(name, asked, old if name == "old" else here) for name in names}
        for process in running.values():
            process.step()
        for _ in range(rounds):
            for name, process in running.items():
                turns[name].append(process.step() | {"start": process.start})
        for process in running.values():
            process.close()
    return turns


def row(name: str, turns: dict[str, Any], base: str) -> str:
    mine, theirs = ([turn["seconds"] for turn in turns[side]] for side in (name, base))
    ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
    low, _, high = quantiles(ratios, n=4)
    outside = median(turn["outside"] for turn in turns[name])
    start = median(turn["start"] for turn in turns[name])
    spread = "" if name == base else f"{median(ratios):.2f} ({low:.2f} to {high:.2f})"
    return f"{name} | {1000 * median(mine):.0f} | {spread} | {outside:.1%} | {start:.0f}"


@click.command()
@click.option("--case", "cases", multiple=True, help=f"Of {', '.join(CASES)}; all.")
@click.option("--passing", type=click.Choice(["all", "half"]), multiple=True, default=["all", "half"])
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32")
@click.option("--old", type=click.Path(path_type=Path), default=Path(), help="A checkout of the build called old.")
@click.option("--rounds", default=8, help="Steps of each side after each start.")
@click.option("--starts", default=2, help="How often the processes are started.")
@click.argument("sides", nargs=-1)
def main(
    cases: tuple[str, ...],
    passing: tuple[str, ...],
    precision: str,
    old: Path,
    rounds: int,
    starts: int,
    sides: tuple[str, ...],
) -> None:
    names = sides or ("plain", "sslkit")
    print("| network/px | images | pass | code | ms a step | times as fast | outside | s to step 1 |")
    print("|---|---|---|---|---|---|---|---|")
    for case in cases or CASES:
        batch, settings = CASES[case]
        for share in passing:
            asked = {"case": case.split()[0], "batch": batch, "own": settings, "half": share == "half"}
            asked["precision"] = precision
            turns = compared(names, asked, old, rounds, starts)
            for name in names:
                print(f"| {case} | {batch} + {3 * batch} | {share} | {row(name, turns, names[0])} |", flush=True)


if __name__ == "__main__":
    main()
