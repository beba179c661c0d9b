"""How strong should the penalty of a linear probe be, and how should features be scaled? And: the methods side by side.

    python benchmarks/probe.py FEATURES.npz --train 15000               # rules for C and the scale of features
    python benchmarks/probe.py FEATURES.npz --train 15000 --methods     # every method on frozen features

FEATURES.npz holds `f` (N, D) float32 and `y` (N,) labels. Labels are drawn from the first `--train` rows by seeds from
100 up, which no reported run uses; the pool is 6,000 others of them, and what follows these rows is the test.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit import registry
from sslkit.contracts import Setup
from sslkit.frozen import OnFeatures
from sslkit.logistic import logistic_regression, probe
from sslkit.network import Classifier, Output

GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
POOL = 6000
# what the head is fitted on and applied to: of all features, from those of the labelled images and of the training part
SCALES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "one number": lambda f, labeled, train: f,
    "deviation of the labelled": lambda f, labeled, train: f / (labeled.std(0) + 1e-3 * labeled.std()),
    "deviation of the pool": lambda f, labeled, train: f / (train.std(0) + 1e-6),
    "unit length, also at test time": lambda f, labeled, train: F.normalize(f),
}


class Frozen(Classifier):
    """Stands for the network whose features these are."""

    def forward(self, images: Tensor) -> Output:
        return Output(images[:, :1], images)


def score(head: tuple[Tensor, Tensor], f: Tensor, y: Tensor) -> float:
    """Accuracy in percent of weight (C, D) and bias (C,) on features (N, D)."""
    weight, bias = (value.float() for value in head)
    return 100 * ((f @ weight.T + bias).argmax(1) == y).float().mean().item()


def left_out(f: Tensor, y: Tensor, classes: int) -> float:
    """The C of the grid that is right most often on labelled images that were left out: one, or a tenth of them."""
    n = len(y)
    folds = torch.arange(n) % (n if n <= 40 else 10)
    right = [0.0] * len(GRID)
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        for i, strength in enumerate(GRID):
            right[i] += score(logistic_regression(f[~out], y[~out], classes, strength), f[out], y[out]) * int(out.sum())
    return GRID[right.index(max(right))]


def rules(f: Tensor, y: Tensor, train: int, drawn: Tensor, classes: int) -> Iterator[tuple[str, float]]:
    """(rule, accuracy) of one draw of labelled images."""
    labeled, label, test = f[drawn], y[drawn], slice(train, None)
    heads: dict[str, tuple[tuple[Tensor, Tensor], Tensor]] = {}  # rule -> head, features (N, D)
    for strength in GRID:
        for name, scale in SCALES.items():
            x = scale(f, labeled, f[:train])
            heads[f"{name}, C {strength:g}"] = logistic_regression(x[drawn], label, classes, strength), x
        heads[f"unit length in the fit, C {strength:g}"] = probe(labeled, label, classes, strength), f
    if 2 * classes <= len(drawn) <= 10 * classes:
        chosen = left_out(labeled, label, classes)
        heads["one number, C by leaving out"] = logistic_regression(labeled, label, classes, chosen), f
    return ((rule, score(head, x[test], y[test])) for rule, (head, x) in heads.items())


def methods(f: Tensor, y: Tensor, train: int, drawn: Tensor, classes: int) -> Iterator[tuple[str, float]]:
    """(method, accuracy) of one draw; the pool is the first others of a fixed order."""
    rest = np.setdiff1d(np.random.default_rng(0).permutation(train)[:POOL], drawn.numpy())
    student, counts = Frozen(), y[drawn].bincount(minlength=classes)
    student.feature_dim = f.shape[1]
    setup = Setup(student, student, classes, len(drawn), len(rest), counts, steps=1, decay=0.0)
    for entry in registry.entries("algorithm"):
        cls = registry.load_entry(entry)
        if issubclass(cls, OnFeatures):
            method = cls(setup)
            method.fit(f[drawn], y[drawn], f[torch.from_numpy(rest)])
            yield entry.name, 100 * (method.classify(f[train:]).argmax(1) == y[train:]).float().mean().item()


@click.command()
@click.argument("features", type=click.Path(exists=True, dir_okay=False))
@click.option("--train", required=True, type=int, help="Rows that labels are drawn from; the others are the test.")
@click.option("--labels", default="1,2,4,10,25,100", show_default=True, help="Labels a class, with commas.")
@click.option("--draws", default=20, show_default=True, help="Draws of labelled images, from seed 100 on.")
@click.option("--methods", "side_by_side", is_flag=True, help="The methods instead of the rules.")
def main(features: str, train: int, labels: str, draws: int, side_by_side: bool) -> None:
    stored = np.load(features)
    f, y = torch.from_numpy(stored["f"]), torch.from_numpy(stored["y"]).long()
    classes, table = int(y.max()) + 1, dict[str, list[str]]()
    columns = [int(n) for n in labels.split(",")]
    for place, n in enumerate(columns):
        found: dict[str, list[float]] = {}
        for seed in range(100, 100 + draws):
            draw = np.random.default_rng(seed)
            of = [draw.choice(np.flatnonzero(y[:train] == c), n, replace=False) for c in range(classes)]
            for name, value in (methods if side_by_side else rules)(
                f, y, train, torch.tensor(np.concatenate(of)), classes
            ):
                found.setdefault(name, []).append(value)
        for name, values in found.items():
            row = table.setdefault(name, [""] * len(columns))
            row[place] = f"{statistics.mean(values):.1f} ± {statistics.stdev(values) if draws > 1 else 0:.1f}"
    print("| |", *[f"{n} a class |" for n in columns])
    print("|" + " --- |" * (1 + len(columns)))
    for name in sorted(table):
        print("|", name, "|", " | ".join(table[name]), "|")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
