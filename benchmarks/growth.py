"""How the cost of a semi step grows: with batch, image size, classes and pool. A table and a picture.

    python -m benchmarks.growth --out docs/results

A case is a process of its own with one thread. Times are of the processor, which other work on the machine changes
less than the clock's; memory is the most that the process had, beyond what it had before the first step. A pool is
places of one image. Beside the step of a pool stands what the labeler itself takes in it, and what drawing an order of
the pool takes, once an epoch.
"""

from __future__ import annotations

import csv
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import click
import torch
from matplotlib.figure import Figure

from benchmarks.test_semi_step import make_job, peak_memory
from sslkit.machine import Machine
from sslkit.randomness import permutation
from sslkit.training.engine import Engine
from sslkit.training.log import Log

ONE = Machine("cpu", "fp32", 1)
STEPS, WARM = 7, 2
LABELERS = ("threshold", "flexmatch", "freematch", "softmatch", "cgmatch")
AXES: dict[str, list[dict[str, Any]]] = {  # settings of a case; the first is what grows
    "batch": [{"semi.batch": n, "backbone": "vit_micro", "size": 8} for n in (4, 16, 64, 256)],
    "size": [{"size": n, "backbone": "wrn_10_1", "semi.batch": 4} for n in (16, 32, 64, 128)],
    "classes": [{"classes": n, "backbone": "vit_micro", "size": 8} for n in (10, 100, 1000, 10_000, 20_000)],
    "pool": [
        {"pool": n, "labeler": name, "backbone": "vit_micro", "size": 8}
        for name in LABELERS
        for n in (10**3, 10**5, 10**7)
    ],
}
NAMES = {"batch": "labelled images, and 3 times more", "size": "pixels", "classes": "classes", "pool": "pool"}
COLUMNS = ("axis", "value", "labeler", "ms", "mb", "labeler_ms", "order_s")


def measured(case: dict[str, Any]) -> dict[str, Any]:
    """Median processor milliseconds of a step, and memory in MB."""
    torch.set_num_threads(1)
    settings: dict[str, Any] = {"algo": "fixmatch", "labeler": "threshold", "semi.batch": 16} | case
    if settings["labeler"] not in ("threshold", "flexmatch"):
        settings["labeler.tau"] = None  # they have none
    job = make_job(settings.pop("backbone"), settings.pop("size"), ONE, **settings)
    with tempfile.TemporaryDirectory() as folder:
        engine, log = Engine(job, Path(folder)), Log(Path(folder), 0, 0)
        engine.algorithm.train()
        memory: dict[str, Any] = {}
        with peak_memory(memory):
            for index in range(WARM):
                engine.step(index, log)
        labeler = [0.0]
        _clock(engine.algorithm.labeler, labeler)
        seconds, own = [], []
        for index in range(WARM, WARM + STEPS):
            start, labeler[0] = time.process_time(), 0.0
            engine.step(index, log)
            seconds.append(time.process_time() - start)
            own.append(labeler[0])
        log.close()
    found = {"ms": 1000 * median(seconds), "mb": memory["peak_mb"], "labeler_ms": 1000 * median(own)}
    start = time.process_time()
    permutation(1, len(job.loader.sources["unlabeled"].pixels))
    return found | {"order_s": time.process_time() - start}


def _clock(labeler: Any, spent: list[float]) -> None:
    """Add what `label` and `update` take to `spent`."""

    def timed(method: Any) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                spent[0] += time.process_time() - start

        return wrapper

    labeler.label, labeler.update = timed(labeler.label), timed(labeler.update)


def rows(axes: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as alone:
        for axis in axes:
            for case in AXES[axis]:
                found = alone.submit(measured, case).result()
                value = next(iter(case.values()))
                yield {"axis": axis, "value": value, "labeler": case.get("labeler", "threshold")} | found


def picture(found: list[dict[str, Any]]) -> Figure:
    """Milliseconds and memory against what grows, both axes by tens; a dotted line grows as the axis does."""
    figure = Figure((12, 5.5), layout="constrained")
    for number, (axis, _) in enumerate(AXES.items()):
        for row, (column, name) in enumerate((("ms", "processor ms a step"), ("mb", "memory, MB"))):
            plot = figure.add_subplot(2, len(AXES), number + 1 + row * len(AXES))
            for labeler in dict.fromkeys(r["labeler"] for r in found if r["axis"] == axis):
                some = [r for r in found if r["axis"] == axis and r["labeler"] == labeler]
                x, y = [r["value"] for r in some], [max(r[column], 0.1) for r in some]
                plot.loglog(x, y, marker="o", label=labeler)
            plot.loglog(x, [y[0] * value / x[0] for value in x], ":", color="0.6")
            plot.set_ylim(bottom=0.5 * min(y), top=4 * max(y))
            plot.set_ylabel(name if number == 0 else "")
            plot.set_xticks(x, [f"{value:g}" for value in x], fontsize=7)
            plot.minorticks_off()
            plot.set_xlabel(NAMES[axis])
            if axis == "pool" and row == 0:
                plot.legend(fontsize=7)
    return figure


@click.command()
@click.option("--axis", "axes", multiple=True, type=click.Choice(list(AXES)), default=tuple(AXES))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for growth.csv and growth.png.")
def main(axes: tuple[str, ...], out: Path | None) -> None:
    found = []
    for row in rows(axes):
        found.append(row)
        print("  ".join(f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in COLUMNS))
    if out:
        with (out / "growth.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()} for row in found)
        picture(found).savefig(out / "growth.png", dpi=110)


if __name__ == "__main__":
    main()
