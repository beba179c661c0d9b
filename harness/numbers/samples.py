"""A few test images with their truth and what each row of a comparison says about them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslkit.errors import UserError
from sslkit.finished import test_set
from sslkit.store import checkpoint, read_json
from sslkit.training.spec import Spec

SPREAD, DISPUTED = 4, 4  # images spread evenly over the test set; then those on which the rows disagree most
SIDE = 96  # pixels at most


@dataclass(frozen=True)
class Samples:
    """Columns are images, lines are rows of the comparison."""

    images: list[tuple[str, str]]  # PNG as a data URI, class
    says: dict[str, list[tuple[str, bool]]]  # row -> of each image the class, and is it right


def samples(run: Path, keys: Mapping[str, str]) -> Samples:
    """The samples of the rows' averaged networks.

    Args:
        run: folder of a finished run, whose test set it is.
        keys: row -> key of its stage; all have this test set.

    Raises:
        UserError: the data is gone or has changed, or predictions are missing.
    """
    stages = run.parent / "stages"
    spec = Spec(**read_json(stages / next(iter(keys.values())) / "spec.json"))
    classes = [*map(str, spec.data["classes"]), "unknown"]  # a label of -1 is the last
    stored = {row: checkpoint.load(stages / key / "predictions.safetensors")[0] for row, key in keys.items()}
    label = next(iter(stored.values()))["label"]
    if label.ndim == 2:
        raise UserError("images have several labels, of which some are right")
    guesses = torch.stack([found["averaged"].argmax(1) for found in stored.values()])  # (rows, N)
    _, pixels, truth = test_set(run, spec)
    if not torch.equal(truth, label):
        raise UserError("the test set is not the one that was predicted")
    chosen = choose(guesses)
    pictures = pixels[torch.tensor(chosen)].permute(0, 2, 3, 1).numpy()
    images = [(_uri(picture), classes[label[i]]) for i, picture in zip(chosen, pictures, strict=True)]
    says = {
        row: [(classes[guess[i]], bool(guess[i] == label[i])) for i in chosen]
        for row, guess in zip(keys, guesses, strict=True)
    }
    return Samples(images, says)


def choose(guesses: Tensor) -> list[int]:
    """Images spread over the test set, then those with the most different answers; the first ones where many are equal.

    Args:
        guesses: (rows, N) int64, a class.
    """
    n = guesses.shape[1]
    spread = sorted({int(i) for i in np.linspace(0, n - 1, min(SPREAD, n))})
    answers = [len(set(column)) for column in guesses.T.tolist()]
    disputed = [i for i in sorted(range(n), key=lambda i: -answers[i]) if answers[i] > 1 and i not in spread]
    return spread + disputed[:DISPUTED]


def _uri(picture: Any) -> str:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    image.save(file, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
