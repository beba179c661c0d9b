"""Logistic regression on the labelled images of a finished run: on pixels, and on frozen features.

    python -m benchmarks.own_images_baselines RUN

RUN has a validation part, on which the strength of the regularisation is chosen, and for the second row a stage
`pretrain`, whose pooled features are the inputs. The test part is read once.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sslkit.augment.render import normalise
from sslkit.data.image import Array
from sslkit.data.on_demand import Pixels
from sslkit.errors import UserError
from sslkit.finished import last_stage, prepared_data, stage_folders, usable
from sslkit.store import checkpoint, read_json
from sslkit.training.spec import Spec
from sslkit.training.stage import build_algorithm, restore

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def main(run: Path) -> None:
    """Print a table in markdown."""
    _, spec = last_stage(run)
    prepared = prepared_data(run, spec)
    images, split = prepared.images, prepared.split
    if not len(split.val):
        raise UserError(f"{run} has no validation part to choose on; train with --val 0.2")
    parts = [split.labeled, split.val, split.test]
    labels = [images.label[index] for index in parts]
    pixels = [images.subset(index) for index in parts]
    rows = {"pixels": [some[:].flatten(1).numpy() / 255 for some in pixels]}
    stages = stage_folders(run)
    if "pretrain" in stages:
        rows["features of the stage pretrain"] = [features(stages["pretrain"], some) for some in pixels]
    print("| logistic regression on | regularisation C | validation top-1 % | test top-1 % |\n|---|---|---|---|")
    for name, inputs in rows.items():
        chosen, val, test = fit(inputs, labels)
        print(f"| {name} | {chosen:g} | {100 * val:.1f} | {100 * test:.1f} |")


def fit(inputs: list[Array], labels: list[Array]) -> tuple[float, float, float]:
    """The strength that is best on the validation part; top-1 there and on the test part, each of labelled images."""
    known = [(x[y >= 0], y[y >= 0]) for x, y in zip(inputs, labels, strict=True)]
    found = []
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(*known[0])
        found.append((model.score(*known[1]), strength, model))
    val, strength, model = max(found, key=lambda line: line[0])
    return strength, float(val), float(model.score(*known[2]))


@torch.no_grad()
def features(stage: Path, pixels: Pixels) -> Array:
    """(N, D) pooled features of the encoder that a stage left."""
    spec = usable(Spec(**read_json(stage / "spec.json")))
    algorithm, average = build_algorithm(spec, None)
    restore(algorithm, average, checkpoint.load(stage / "weights.safetensors")[0])
    network = algorithm.student.eval()
    mean, std = (torch.tensor(spec.data[name]) for name in ("mean", "std"))
    parts = [slice(i, i + 100) for i in range(0, len(pixels), 100)]
    made = [network(normalise(pixels[part], mean, std).to(spec.device)).features for part in parts]
    return np.concatenate([part.cpu().numpy() for part in made])


if __name__ == "__main__":
    main()
