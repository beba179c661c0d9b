"""The parts of a map: the plane against NumPy's SVD, margins by hand, thumbnails where they belong."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.projection import Projection, pca, project
from sslkit.finished.scatter.thumbnails import ACROSS, cell, pictures, sheets


def of(p: list[list[float]]) -> Points:
    n = len(p)
    return Points(
        "run", ["a", "b", "c"], ["pool"], ["x"] * n, torch.zeros(n, 3, 8, 8, dtype=torch.uint8), np.zeros(n, int),
        np.full(n, -1), np.array(p), np.zeros((n, 2)), Projection(np.zeros((n, 2)), "pca", ""), "",
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(40, 7), (5, 30), (300, 2)])
def test_pca_is_that_of_numpy(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape) * np.linspace(3, 1, shape[1]) + 5
    xy, share = pca(x)
    u, s, v = np.linalg.svd(x - x.mean(0), full_matrices=False)
    for axis in range(2):
        sign = np.sign(v[axis][np.abs(v[axis]).argmax()])
        assert np.allclose(xy[:, axis], sign * u[:, axis] * s[axis], atol=1e-9)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())


def test_pca_where_there_is_less_than_a_plane() -> None:
    xy, share = pca(np.array([[1.0], [3.0], [5.0]]))
    assert np.allclose(xy, [[-2, 0], [0, 0], [2, 0]])
    assert share == 1
    assert (pca(np.ones((4, 6)))[0] == 0).all()
    xy, share = pca(np.array([[1.0, 0, 0], [3.0, 0, 0]]))
    assert np.allclose(xy, [[-1, 0], [1, 0]])
    assert share == pytest.approx(1)


def test_margin_confidence_and_prediction_of_three_images() -> None:
    points = of([[0.2, 0.5, 0.3], [0.5, 0.5, 0.0], [0.0, 0.1, 0.9]])
    assert points.prediction.tolist() == [1, 0, 2]
    assert points.confidence.tolist() == [0.5, 0.5, 0.9]
    assert points.margin == pytest.approx([0.2, 0.0, 0.8])
    assert of([[0.25, 0.75]]).margin == pytest.approx([0.5])


def test_umap_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """With cosine distance, the run's seed and one thread; the file says so."""
    asked: dict[str, Any] = {}

    def fit(x: np.ndarray) -> np.ndarray:
        return x[:, :2] * 2

    def make(**how: Any) -> SimpleNamespace:
        asked.update(how)
        return SimpleNamespace(fit_transform=fit)

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=make))
    x = np.random.default_rng(0).normal(size=(16, 4))
    found = project(x, 7)
    assert (found.name, found.said) == ("umap", "UMAP of 4 features, cosine distance, seed 7")
    assert np.allclose(found.xy, x[:, :2] * 2)
    assert asked == {"n_neighbors": 15, "metric": "cosine", "random_state": 7, "n_jobs": 1}
    few = project(x[:15], 7)
    assert few.name == "pca"
    assert few.said.endswith("(UMAP needs more than 15 images)")


def test_the_real_umap_gives_the_same_plane_for_a_seed() -> None:
    pytest.importorskip("umap.umap_")
    x = np.random.default_rng(0).normal(size=(60, 5))
    found = project(x, 3)
    assert (found.name, found.xy.shape, found.xy.dtype) == ("umap", (60, 2), np.float32)
    assert np.isfinite(found.xy).all()
    assert (project(x, 3).xy == found.xy).all()


@pytest.mark.parametrize("side", [8, 13, 40, 64, 100])
def test_thumbnails_lie_in_their_cells(side: int) -> None:
    """Each of its own colour, and none takes of another's."""
    count = ACROSS**2 + 3
    colours = np.random.default_rng(0).integers(0, 256, (count, 3), np.uint8)
    images = torch.from_numpy(colours)[:, :, None, None].expand(count, 3, side, side)
    made = [np.asarray(Image.open(io.BytesIO(sheet))) for sheet in sheets(images)]
    step, shown = cell(side), min(side, 64)
    assert step % 8 == 0
    assert [sheet.shape for sheet in made] == [(ACROSS * step, ACROSS * step, 3), (step, ACROSS * step, 3)]
    for i in range(count):
        sheet, k = made[i // ACROSS**2], i % ACROSS**2
        top, left = k // ACROSS * step, k % ACROSS * step
        part = sheet[top : top + shown, left : left + shown].astype(int)
        assert np.abs(part - colours[i]).max() <= 6


def test_thumbnails_show_the_image_upright() -> None:
    image = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    image[0, 0, :64, :64] = 255  # red, above and to the left
    (sheet,) = (np.asarray(Image.open(io.BytesIO(sheet))) for sheet in sheets(image))
    assert sheet[8, 8, 0] > 200
    assert max(sheet[8, 56, 0], sheet[56, 8, 0], sheet[8, 8, 1], sheet[8, 8, 2]) < 60


def test_pictures_are_lossless_where_they_are_small() -> None:
    rng = np.random.default_rng(0)
    small = torch.from_numpy(rng.integers(0, 256, (300, 3, 9, 9), np.uint8))
    found = [np.asarray(Image.open(io.BytesIO(file))).transpose(2, 0, 1) for file in pictures(small)]
    assert (np.array(found) == small.numpy()).all()
    (large,) = pictures(torch.full((1, 3, 80, 80), 120, dtype=torch.uint8))
    opened = Image.open(io.BytesIO(large))
    assert (opened.format, opened.size) == ("JPEG", (80, 80))
    assert np.abs(np.asarray(opened).astype(int) - 120).max() <= 2
