"""What a stage gave class by class, on its labelled test images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

MOST = 100  # classes of which all pairs are counted


def by_class(guess: Tensor, label: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Recall and precision of every class, the balanced accuracy, and who was taken for whom.

    Recall is the share of a class's images that are predicted as such, precision the share of what is predicted as the
    class that is; None where there are no such images. Balanced accuracy is the mean recall of the classes that have
    images (Brodersen et al. 2010).

    Args:
        guess: (n,) int64 predicted classes.
        label: (n,) int64, the true ones.

    Returns:
        `balanced_accuracy`, `rows` (a class each), and `confusion` (C, C), the label's row and the guess's column, of
        up to `MOST` classes.
    """
    n = len(classes)
    pairs = torch.bincount(label * n + guess, minlength=n * n).reshape(n, n)
    images, predicted, right = pairs.sum(1).tolist(), pairs.sum(0).tolist(), pairs.diagonal().tolist()
    rows = [
        {
            "class": name,
            "images": images[c],
            "predicted": predicted[c],
            "recall": right[c] / images[c] if images[c] else None,
            "precision": right[c] / predicted[c] if predicted[c] else None,
        }
        for c, name in enumerate(classes)
    ]
    recalls = [row["recall"] for row in rows if row["recall"] is not None]
    found = {"balanced_accuracy": sum(recalls) / len(recalls) if recalls else None, "rows": rows}
    return found | ({"confusion": pairs.tolist()} if n <= MOST else {})
