"""How large a map's page is, how soon it is ready, and how many frames a second it draws while it is moved.

python -m benchmarks.map_page --points 20000

Images are crops of two photographs; features are ten clouds. The page is opened in Chromium without a window or a GPU.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

from sslkit.finished.scatter.page import write_page
from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.projection import Projection, pca
from sslkit.machine import description
from tests.harness.browser import Browser, browser

SIDE, CLASSES, DIM = 64, 10, 64
READY = """new Promise(done => {
  const ask = () => document.documentElement.dataset.ready ? done() : setTimeout(ask, 5);
  ask();
})"""
# A frame begins when the browser asks for it; in each the pointer moves on, as a hand does.
PAN = """new Promise(done => {
  const times = [], field = canvas.getBoundingClientRect();
  const send = (kind, k) => canvas.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1,
    clientX: field.left + field.width / 2 + 200 * Math.sin(k / 15),
    clientY: field.top + field.height / 2 + 100 * Math.cos(k / 11),
  }));
  canvas.setPointerCapture = () => {};
  send("pointerdown", 0);
  const frame = (now) => {
    times.push(now);
    if (times.length > FRAMES) { send("pointerup", times.length); done(times); }
    else { send("pointermove", times.length); requestAnimationFrame(frame); }
  };
  requestAnimationFrame(frame);
})"""


def photos(count: int) -> torch.Tensor:
    """(N, 3, SIDE, SIDE) uint8: squares of 64 to 427 px from all over two photographs."""
    rng, sources = np.random.default_rng(0), [Image.fromarray(image) for image in load_sample_images().images]
    found = np.empty((count, SIDE, SIDE, 3), np.uint8)
    for i in range(count):
        source, side = sources[i % len(sources)], int(rng.integers(64, 428))
        left, top = (int(rng.integers(0, length - side + 1)) for length in source.size)
        cut = source.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (left, top, left + side, top + side))
        found[i] = np.asarray(cut)
    return torch.from_numpy(found).permute(0, 3, 1, 2)


def points(count: int) -> Points:
    """A hundred labelled images, a tenth in the test, the others in the pool."""
    rng = np.random.default_rng(1)
    true = rng.integers(0, CLASSES, count)
    features = rng.normal(size=(count, DIM)) + 2 * rng.normal(size=(CLASSES, DIM))[true]
    scores = 2 * rng.normal(size=(count, CLASSES)) + 4 * np.eye(CLASSES)[true]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    part = np.sort(np.searchsorted([100, 100 + count // 10], np.arange(count), "right"))
    xy, _ = pca(features)
    return Points(
        run="benchmark", classes=[f"class {c}" for c in range(CLASSES)], parts=["labeled", "test", "pool"],
        names=[f"photos/unlabeled/image_{i:06d}.jpg" for i in range(count)], pixels=photos(count), part=part,
        label=np.where(part < 2, true, -1), p=p, features=features,
        projection=Projection(xy.astype(np.float32), "pca", "PCA"), said=f"{count:,} crops of two photographs",
    )  # fmt: skip


def measured(tab: Browser, file: Path, frames: int) -> tuple[float, np.ndarray]:
    """Seconds until the page is ready, and those between frames while it is moved."""
    begun = time.perf_counter()
    tab.open(file, 1280)
    tab.value(READY)
    seconds = time.perf_counter() - begun
    times = np.array(tab.value(PAN.replace("FRAMES", str(frames))))
    assert not tab.problems, tab.problems
    return seconds, np.diff(times) / 1000


@click.command()
@click.option("--points", "count", default=20_000, show_default=True)
@click.option("--frames", default=300, show_default=True)
@click.option("--picture", type=click.Path(path_type=Path), help="Keep the page as a PNG.")
def main(count: int, frames: int, picture: Path | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "map.html"
        shown = points(count)
        begun = time.perf_counter()
        write_page(shown, file)
        click.echo(
            f"{count:,} points, {file.stat().st_size / 1e6:.1f} MB, written in {time.perf_counter() - begun:.1f} s"
        )
        with browser(Path(folder) / "profile") as tab:
            seconds, apart = measured(tab, file, frames)
            if picture:
                tab.picture(picture)
        slow = 1 / np.quantile(apart, 0.95)
        click.echo(f"ready in {seconds:.2f} s; moved: median {1 / np.median(apart):.0f} frames/s, 95% above {slow:.0f}")
        machine = description()
        click.echo(f"{machine['processor']}, {machine['cores']} cores, no GPU; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
