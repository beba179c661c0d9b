"""Seconds from the end of the imports to the first step, of a first and of a second command on the same files.

    python -m benchmarks.first_step --data folder:DIR --size 96 [--crops whole] [--backbone efficientnet_lite0]

Every command is a process of its own with one store; the second one has another seed. What is run stops at its first
step. Processor seconds of all threads stand first, as a shared machine's clock says little; the clock's in brackets.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import click


class Begun(BaseException):
    """The first step would be made now."""


def child(request: dict[str, Any], runs: str, profile: str) -> None:
    import cProfile

    import timm  # noqa: F401
    import torch  # noqa: F401
    import torchvision  # type: ignore[import-untyped]  # noqa: F401

    import sslkit
    import sslkit.pipeline
    from sslkit.training.engine import Engine

    def train(self: Engine) -> None:
        raise Begun

    Engine.train = train  # type: ignore[assignment,method-assign]
    watched = cProfile.Profile()
    start, clock = time.process_time(), time.perf_counter()
    if profile:
        watched.enable()
    try:
        sslkit.run(request, runs=runs)
    except Begun:
        print(json.dumps([time.process_time() - start, time.perf_counter() - clock]), flush=True)
    if profile:
        watched.disable()
        watched.dump_stats(profile)


def seconds(request: dict[str, Any], runs: str, profile: str = "") -> list[float]:
    command = [sys.executable, "-m", "benchmarks.first_step", "--child", json.dumps([request, runs, profile])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


@click.command()
@click.option("--data", help="As of sslkit run.")
@click.option("--size", type=int, default=None)
@click.option("--set", "settings", multiple=True, help="KEY=VALUE, as of sslkit run.")
@click.option("--rounds", default=3, help="Of both commands, each with a new store.")
@click.option("--profile", default="", help="A file for the profile of the last second command.")
@click.option("--child", "asked", default="", hidden=True)
def main(data: str, size: int | None, settings: tuple[str, ...], rounds: int, profile: str, asked: str) -> None:
    if asked:
        child(*json.loads(asked))
        return
    found: dict[str, list[list[float]]] = {"first": [], "second": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as runs:
            request: dict[str, Any] = {"data.name": data, "threads": 1}
            request |= {"data.size": size} if size else {}
            request |= dict(setting.split("=", 1) for setting in settings)
            found["first"].append(seconds(request | {"seed": 0}, runs))
            found["second"].append(seconds(request | {"seed": 1}, runs, profile))
    for name, values in found.items():
        mine, clock = zip(*values, strict=True)
        print(f"| {name} | {median(mine):.2f} ({min(mine):.2f} to {max(mine):.2f}) | ({median(clock):.1f}) |")


if __name__ == "__main__":
    main()
