"""From features to a plane: UMAP where it is installed (the extra `map`), else the first two principal components."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from sslkit.data.image import Array

NEIGHBORS = 15  # of UMAP, its default; it needs more images than that


@dataclass(frozen=True)
class Projection:
    """Where N images lie in the plane, and how that was found."""

    xy: Array  # (N, 2) float32
    name: str  # "umap" or "pca"
    said: str  # how, and why so


def project(features: Array, seed: int) -> Projection:
    """The plane of features (N, D) float64.

    UMAP is of McInnes, Healy and Melville 2018, arXiv:1802.03426, by umap-learn with its defaults, but for the cosine
    distance, and with a seed, so that the same images lie in the same place.
    """
    n, d = features.shape
    try:
        from umap import UMAP
    except ImportError:
        why = "umap-learn is not installed: pip install 'sslkit[map]'"
    else:
        if n > NEIGHBORS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a seed means one thread, which it says each time
                made = UMAP(n_neighbors=NEIGHBORS, metric="cosine", random_state=seed % 2**32, n_jobs=1)
                xy = made.fit_transform(features.astype(np.float32))
            return Projection(xy.astype(np.float32), "umap", f"UMAP of {d} features, cosine distance, seed {seed}")
        why = f"UMAP needs more than {NEIGHBORS} images"
    xy, share = pca(features)
    return Projection(
        xy.astype(np.float32), "pca", f"PCA of {d} features, {100 * share:.0f}% of their variance ({why})"
    )


def pca(features: Array) -> tuple[Array, float]:
    """(N, 2) scores on the first two principal components of features (N, D), and their share of the variance.

    They are eigenvectors of the covariance, exactly. The sign of each is such that its largest entry is positive.
    """
    centred = features - features.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)  # ascending
    axes = np.zeros((features.shape[1], 2))
    axes[:, : len(values)] = vectors[:, ::-1][:, :2]
    largest = axes[np.abs(axes).argmax(0), [0, 1]]
    total = values.sum()
    return centred @ (axes * np.where(largest < 0, -1, 1)), float(values[-2:].sum() / total) if total > 0 else 1.0
