"""How many images a second the feature pass computes, beside a plain loop with timm, decoding included.

    python -m benchmarks.features

Both begin with JPEG files and end with features. The plain loop is a `DataLoader` of 0 or of 2 workers, whichever is
faster, with batches of 64 and timm's network under `inference_mode`. Ours is what a run does: decode, then `Features`,
in a store that is new; and once more, with an error for every image that is opened and for every forward.
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import click
import numpy as np
import timm
import torch
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2  # type: ignore[import-untyped]

from sslkit import registry
from sslkit.config.resolve import argument
from sslkit.data import IMAGENET_MEAN, IMAGENET_STD, Raw
from sslkit.data.decoding import decode
from sslkit.network import Shape
from sslkit.training.features import Features
from sslkit.training.spec import Spec
from sslkit.weights import load_weights
from sslkit.weights.packages import packaged


class Files:
    """What a user writes: the square of each file, normalised."""

    def __init__(self, raw: Raw, size: int) -> None:
        self.raw, self.size = raw, size
        steps = [v2.PILToTensor(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.raw.images)

    def __getitem__(self, i: int) -> Any:
        with Image.open(self.raw.source(i)) as image:
            square = ImageOps.fit(image.convert("RGB"), (self.size, self.size), Image.Resampling.BICUBIC)
        return self.transform(square)


class Case:
    """A network at a size, on both sides."""

    def __init__(self, backbone: str, size: int, raw: Raw, threads: int) -> None:
        torch.manual_seed(0)
        cls = registry.load("backbone", backbone)
        self.raw, self.size, self.threads = raw, size, threads
        self.network, file = cls(Shape(size, 2)), packaged(cls)
        if file:
            load_weights(self.network, file)
        model: Any = self.network.model
        name = model.default_cfg["architecture"]
        self.theirs: Any = timm.create_model(name, num_classes=2, **self.network.arguments).eval()
        self.theirs.load_state_dict(model.state_dict())
        self.theirs.reset_classifier(0)
        layout = torch.channels_last if self.network.channels_last else torch.contiguous_format
        self.network = self.network.to(memory_format=layout)
        data = {"size": size, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        parts = {"backbone": {"name": backbone, "options": {}, "source": ""}}
        self.spec = Spec("semi", "", parts, {}, {}, {}, data, 0, "cpu", "fp32", threads)

    @torch.inference_mode()
    def plain(self, workers: int) -> tuple[Tensor, float]:
        """Features, and seconds."""
        start = time.perf_counter()
        loader: Any = DataLoader(Files(self.raw, self.size), 64, num_workers=workers)  # type: ignore[arg-type]
        found = torch.cat([self.theirs(images) for images in loader])
        return found, time.perf_counter() - start

    def ours(self, store: Path) -> tuple[Tensor, float, int]:
        """Features, seconds, and the number of images that went through the network."""
        start = time.perf_counter()
        test = Raw(self.raw.images[:0], self.raw.label[:0], root=self.raw.root)
        images = decode(["a", "b"], self.raw, test, self.size, store / "data")
        find = Features(self.network, self.spec, images, store / "features")
        found = find(np.arange(len(self.raw.images)))
        return found, time.perf_counter() - start, find.done.new


def photographs(folder: Path, count: int) -> Raw:
    """JPEG files of about 200 x 150 pixels, cut at random out of the two photographs in scikit-learn."""
    draw, photos, names = np.random.default_rng(0), load_sample_images().images, []
    for i in range(count):
        wide, high = draw.integers(180, 220), draw.integers(135, 165)
        top, left = draw.integers(0, 427 - high), draw.integers(0, 640 - wide)
        names.append(f"{i}.jpg")
        Image.fromarray(photos[i % 2][top : top + high, left : left + wide]).save(folder / names[-1], quality=90)
    return Raw(names, np.zeros(count, np.int64), root=folder)


def compare(case: Case, rounds: int) -> tuple[list[float], list[float], list[float], float]:
    """Images a second of both and their ratio, a value for each round; the largest difference of a feature."""
    plain, ours, far, count = [], [], 0.0, len(case.raw.images)
    for _ in range(rounds):
        tried = [case.plain(workers) for workers in (0, 2)]
        plain.append(count / min(seconds for _, seconds in tried))
        with tempfile.TemporaryDirectory() as store:
            found, seconds, _ = case.ours(Path(store))
            ours.append(count / seconds)
            far = max(far, float((found - tried[0][0]).abs().max()))
            wrong = AssertionError("an image is opened, or goes through the network")
            no_file = mock.patch("PIL.Image.open", side_effect=wrong)
            with no_file, mock.patch.object(type(case.network), "forward", side_effect=wrong):
                again, _, new = case.ours(Path(store))
            assert new == 0
            assert torch.equal(again, found)
    return plain, ours, [b / a for a, b in zip(plain, ours, strict=True)], far


@click.command()
@click.option("--backbone", "backbones", multiple=True, default=("efficientnet_lite0", "vit_tiny"), show_default=True)
@click.option("--size", "sizes", multiple=True, default=(96, 224), show_default=True)
@click.option("--images", default=1000, show_default=True)
@click.option("--data", help="A data set of files, as folder:DIR, in the place of crops of two photographs.")
@click.option("--rounds", default=3, show_default=True, help="Both sides in turn, so often.")
@click.option("--threads", default=torch.get_num_threads(), show_default="torch's", help="Of both sides.")
def main(backbones: tuple[str, ...], sizes: tuple[int, ...], images: int, data: str, rounds: int, threads: int) -> None:
    """Print a table in markdown, a row as soon as it is there: medians, and the range of the ratio."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        raw = photographs(Path(folder), images)
        if data:
            cls = registry.load("dataset", data)
            _, raw, _ = cls(**argument("dataset", data, cls)).read()
            raw = raw.take(np.arange(min(images, len(raw.images))), "train")
        print(f"{len(raw.images)} files, {threads} threads, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
        print("| network | px | plain, images/s | sslkit, images/s | ratio | largest difference |")
        print("|---|---|---|---|---|---|")
        for backbone, size in itertools.product(backbones, sizes):
            plain, ours, ratio, far = compare(Case(backbone, size, raw, threads), rounds)
            rates = " | ".join(f"{statistics.median(some):,.0f}" for some in (plain, ours))
            spread = f"{statistics.median(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})"
            print(f"| {backbone} | {size} | {rates} | {spread} | {far:.1e} |", flush=True)
    print("\nThe second time no image was opened, and none went through the network.")


if __name__ == "__main__":
    main()
