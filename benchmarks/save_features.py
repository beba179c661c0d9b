"""Features of a data set's training part, as `benchmarks/probe.py` wants them: `f` (N, D) float32 and `y` (N,) labels.

python -m benchmarks.save_features parquet:cifar10 --size 96 --backbone efficientnet_lite0 --out features.npz
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.record.stages import stages
from sslkit.training.features import Features
from sslkit.training.networks import start_networks


@click.command()
@click.argument("data")
@click.option("--size", required=True, type=int, help="Side of the images, in pixels.")
@click.option("--backbone", default="efficientnet_lite0", show_default=True)
@click.option("--images", default=20_000, show_default=True, help="Of the training part, the first ones.")
@click.option("--out", required=True, type=click.Path(path_type=Path))
def main(data: str, size: int, backbone: str, images: int, out: Path) -> None:
    request = {
        "data.name": data,
        "data.size": size,
        "backbone.name": backbone,
        "weights": "imagenet",
        "stages": "probe",
    }
    prepared = prepare(request)
    (stage,) = stages(prepared, Machine("cpu", "fp32", 1))
    network, _ = start_networks(stage.spec, None, stage.weights)
    index = np.arange(min(images, prepared.images.train))
    with tempfile.TemporaryDirectory() as folder:
        find = Features(
            network, stage.spec, prepared.images, Path(folder),
            lambda done, total: click.echo(f"\r{done} of {total}", nl=False), lambda: None,
        )  # fmt: skip
        f = find(index).numpy()
    np.savez(out, f=f, y=prepared.images.label[index])
    click.echo(f"\n{out}: {f.shape}, {find.done}")


if __name__ == "__main__":
    main()
