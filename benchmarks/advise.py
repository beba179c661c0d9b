"""How often the interval of `sslkit advise` holds the accuracy of the row that it ends with, after choosing.

    python -m benchmarks.advise --pixels --labels 10 --draws 1000
    python -m benchmarks.advise --data parquet:cifar10 --labels 4 --draws 1000      # features at 96 px, computed once
    python -m benchmarks.advise --trained --draws 30      # digits, the whole command

A draw is a set of labelled images, so many of each class, and a pool. Rows on features are judged by folds, as `advise`
judges them; the best is chosen; the truth is its accuracy, fitted to all labels of the draw, on images that are neither
labelled nor in the pool. With --trained a draw is a seed of the digits: `advise` chooses among all rows, its run is
trained, and the truth is the accuracy of that on the test images, which `advise` does not see.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from sklearn.datasets import load_digits

from sslkit import pipeline
from sslkit.harness.advise import advise, frozen
from sslkit.harness.advise.folds import folds
from sslkit.harness.advise.frozen import Known
from sslkit.harness.advise.ladder import FOLDS, Ladder
from sslkit.harness.advise.numbers import accuracy, doubled
from sslkit.machine import resolve_machine
from sslkit.prepare import prepare
from sslkit.store import Store
from sslkit.terminal.screen import Screen

IMAGES, POOL, TRUTH = 20_000, 300, 3_000  # whose features are computed; in the pool; that the truth is counted on
STEPS = {"finetune.steps": 40, "semi.steps": 40}
QUIET = Console(quiet=True)
PLACE = click.Path(path_type=Path)


def images(data: str, features: Path | None, pixels: bool) -> tuple[torch.Tensor, np.ndarray]:
    """Features (N, D) and labels: pixels of the digits, those of a file, or of the first training images of `data`.

    The latter are by EfficientNet-Lite0 from ImageNet weights at 96 px.
    """
    if pixels:
        return torch.from_numpy(load_digits().data).float(), load_digits().target.astype(np.int64)
    if features:
        return torch.from_numpy(np.load(features)["f"]), np.load(features)["y"]
    request = {"data": data, "data.size": 96, "backbone": "efficientnet_lite0", "weights": "imagenet"}
    store, prepared = Store("runs"), prepare(request)
    store.prepare()
    index = np.arange(min(IMAGES, prepared.images.train))
    ladder = Ladder(prepared, resolve_machine(prepared.config), store, Screen(None), 0.0, lambda: np.inf)
    return ladder.find(index), prepared.images.label[index]


def drawn(x: torch.Tensor, y: np.ndarray, labels: int, curve: bool, seed: int) -> dict[str, Any]:
    """One draw: row -> estimate, interval and truth; with `curve` also what twice the labels brought `linear`."""
    generator, classes = np.random.default_rng(seed), int(y.max()) + 1
    order = [generator.permutation(np.flatnonzero(y == c)) for c in range(classes)]
    chosen, double = (np.concatenate([some[: k * labels] for some in order]) for k in (1, 2))
    rest = generator.permutation(np.setdiff1d(np.arange(len(y)), double))
    beside, test = x[rest[:POOL]], rest[POOL : POOL + TRUTH]

    network: Any = SimpleNamespace(feature_dim=x.shape[1])  # no method on features asks for more of it

    def right(known: Known, name: str) -> float:
        with torch.inference_mode():
            found = known.fitted(name, np.ones(len(known.label), bool)).classify(x[test]).argmax(1).numpy()
        return float((found == y[test]).mean())

    known, twice = (Known(network, x[i], torch.from_numpy(y[i]), beside, classes) for i in (chosen, double))
    fold = folds(y[chosen], FOLDS, seed)
    judged = {name: known.by_folds(name, fold) for name in frozen.ROWS}
    best = max(judged, key=lambda name: judged[name].mean())
    about = {"use": best, "share": vars(accuracy(judged[best])), "truth": right(known, best)}
    if curve:
        fitted = float(np.mean([(fold != number).sum() for number in range(fold.max() + 1)]))
        about["gain"] = right(twice, "linear") - right(known, "linear")
        about["doubled"] = vars(doubled({**known.curve("linear", seed), fitted: judged["linear"]}))
    return about


def trained(seed: int) -> dict[str, Any]:
    """One draw with all rows: what `advise` ended with, and how good the run that it named is on the test images."""
    with tempfile.TemporaryDirectory() as runs:
        request = {"data": "digits", "backbone": "vit_micro", "seed": seed, "threads": 1, **STEPS}
        report = advise(request, runs=runs, console=QUIET)
        name = report["use"]
        own: dict[str, Any] = {"algo": name} if name in frozen.ROWS else {"control.run": False}
        own |= {"stages": "finetune"} if name == "finetune" else {}
        kept = {k: v for k, v in request.items() if name not in frozen.ROWS or k not in STEPS}
        top1 = pipeline.run(kept | own, runs=runs, console=QUIET)
        return {"use": name, "share": report["accuracy"], "truth": top1.results["headline"]["top1"]}


def tell(draws: list[dict[str, Any]]) -> Iterator[str]:
    """What the draws come to."""
    use = [draw["use"] for draw in draws]
    yield f"{len(draws)} draws, chosen: " + ", ".join(f"{name} {use.count(name)}" for name in dict.fromkeys(use))
    gaps = 100 * np.array([draw["share"]["value"] - draw["truth"] for draw in draws])
    truth = 100 * np.mean([draw["truth"] for draw in draws])
    yield f"true accuracy {truth:.1f}%, stated - true {gaps.mean():+.1f} points, sd {gaps.std(ddof=1):.1f}"
    yield _held("interval of the accuracy", [(draw["share"], draw["truth"]) for draw in draws])
    curves = [(draw["doubled"], draw["gain"]) for draw in draws if "gain" in draw]
    if curves:
        stated, true = (
            100 * float(np.mean(some)) for some in ([c["value"] for c, _ in curves], [g for _, g in curves])
        )
        yield f"twice the labels: stated {stated:+.1f}, true {true:+.1f} points"
        yield _held("interval of what twice the labels bring", curves)


def _held(what: str, pairs: list[tuple[dict[str, float], float]]) -> str:
    inside = np.array([one["low"] <= truth <= one["high"] for one, truth in pairs])
    above, below = sum(t > one["high"] for one, t in pairs), sum(t < one["low"] for one, t in pairs)
    wide = 100 * np.mean([one["high"] - one["low"] for one, _ in pairs])
    error = 196 * np.sqrt(inside.mean() * (1 - inside.mean()) / len(pairs))
    return (
        f"{what}: held {inside.sum()} of {len(pairs)} times, {100 * inside.mean():.1f}% ± {error:.1f}; "
        f"truth above {above}, below {below}; mean width {wide:.1f} points"
    )


@click.command()
@click.option("--data", help="Data set; features of its images are computed through sslkit.")
@click.option("--features", type=PLACE, help="File of features f (N, D) and labels y, instead.")
@click.option("--pixels", is_flag=True, help="Pixels of the digits as features, instead.")
@click.option("--trained", "whole", is_flag=True, help="The whole command on digits, with trained rows, instead.")
@click.option("--labels", default=10, help="Labelled images of each class.")
@click.option("--draws", default=1000)
@click.option("--first", default=0, help="Seed of the first draw; from 5000 on they were used to choose the interval.")
@click.option("--curve", is_flag=True, help="Also what twice the labels bring.")
@click.option("--out", type=PLACE, help="File of JSON lines, one a draw.")
def main(whole: bool, draws: int, first: int, out: Path | None, **how: Any) -> None:
    torch.set_num_threads(1)
    source = [how.pop(name) for name in ("data", "features", "pixels")]
    given, found = () if whole else images(*source), []
    for seed in range(first, first + draws):
        found.append(drawn(*given, seed=seed, **how) if given else trained(seed))
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found[-1]) + "\n")
    print("\n".join(tell(found)))


if __name__ == "__main__":
    main()
