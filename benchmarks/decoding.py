"""How many images a second are decoded on demand, beside torchvision's decoder.

    python -m benchmarks.decoding --workers 1

JPEG files of 500 x 375 pixels (ImageNet's usual size, quality 90), cut from the two photographs in scikit-learn.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.io import ImageReadMode, decode_jpeg  # type: ignore[import-untyped]

from sslkit.augment.boxes import BOX_DRAWS
from sslkit.data.image import Square, planes, read_rgb
from sslkit.data.on_demand import Crop, OnDemand
from sslkit.data.stored import Stored

COUNT, SIZE = 256, 224


@click.command()
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1))
def main(workers: int) -> None:
    """Print a table in markdown."""
    torch.set_num_threads(1)
    files = photographs()
    stored = Stored(files.__getitem__, ["photo"] * COUNT, Square(SIZE))
    pixels = OnDemand(stored, np.arange(COUNT), True, ThreadPoolExecutor(workers))
    crops = [Crop(torch.rand(COUNT, BOX_DRAWS), 0.08, "bicubic") for _ in range(2)]
    same = all(np.array_equal(planes(read_rgb(file, "photo")), torchvision_rgb(file).numpy()) for file in files[:16])
    everything = slice(None)
    rates = {
        "decoded by Pillow alone": rate(lambda: list(pixels.workers.map(lambda file: read_rgb(file, "photo"), files))),
        "decoded by torchvision alone": rate(lambda: list(pixels.workers.map(torchvision_rgb, files))),
        "middle square": rate(lambda: pixels.begin(everything, [None]).result()),
        "two crops of the whole image": rate(lambda: pixels.begin(everything, crops).result()),
    }
    print(f"| {workers} worker{'s' * (workers > 1)}, to {SIZE} px | images/s |\n|---|---|")
    for name, value in rates.items():
        print(f"| {name} | {value:,.0f} |")
    print(f"\nPillow's and torchvision's pixels are {'equal' if same else 'different'}.")


def photographs() -> list[bytes]:
    """Windows of 500 x 375 pixels at places of their own, as JPEG files."""
    draw, files = np.random.default_rng(0), []
    photos = load_sample_images().images  # two of 427 x 640
    for i in range(COUNT):
        top, left = draw.integers(0, 427 - 375), draw.integers(0, 640 - 500)
        content = io.BytesIO()
        Image.fromarray(photos[i % 2][top : top + 375, left : left + 500]).save(content, "JPEG", quality=90)
        files.append(content.getvalue())
    return files


def torchvision_rgb(file: bytes) -> Any:
    return decode_jpeg(torch.frombuffer(bytearray(file), dtype=torch.uint8), ImageReadMode.RGB)


def rate(work: Callable[[], object]) -> float:
    """Images a second, the best of three times."""
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return COUNT / min(seconds)


if __name__ == "__main__":
    main()
