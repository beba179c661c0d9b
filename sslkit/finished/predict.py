"""Predictions of a finished run: for its test set, or for image files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sslkit.data.csv_files import composed, csv_text
from sslkit.data.image import SUFFIXES, Array, BadImageError, to_pixels
from sslkit.datasets._folders import files_below
from sslkit.errors import UserError
from sslkit.finished import Predictor, load, test_set
from sslkit.store.files import new_file, write_text
from sslkit.training.evaluation import BATCH, scores

ERRORS = 10  # that are listed


def predict(
    run: Path,
    paths: Sequence[Path],
    *,
    test: bool = False,
    out: Path = Path("predictions.csv"),
    all_classes: bool = False,
    network: str = "averaged",
    calibrated: bool = False,
    skip_bad: bool = False,
) -> dict[str, Any]:
    """Write `out` with file, class name and confidence of every image, and its label where that is known.

    Returns their number; where labels are known also `labeled`, how many, `top1`, and `errors`: at most ten of the
    most confident ones.

    Args:
        run: folder of a finished run.
        paths: image files, or folders that are searched for them. The name of the nearest folder within such a folder
            that is called as a class is an image's label.
        test: predict the run's own test set instead.
        all_classes: one column more for every class, its probability.
        network: "averaged" or "student" at the last step, or "best", the averaged one at the best step by `--val`.
        calibrated: confidences by the temperature that was fitted on the validation part.
        skip_bad: leave out images that cannot be read; `skipped` lists why.

    Raises:
        UserError: no such run, no image, one that cannot be read, `out` exists, data that has changed since the run.
    """
    if test == bool(paths):
        raise UserError("give either image files or folders to predict, or --test")
    new_file(out)
    predictor = load(run, network, calibrated)
    classes: list[str] = predictor.spec.data["classes"]
    if test:
        names, pixels, label = test_set(run, predictor.spec)
        p, skipped = predictor.probabilities(pixels), dict[int, str]()
    else:
        files = [(file, _label(file, path, classes)) for path in paths for file in _files(path)]
        if not files:
            raise UserError(f"no image in {', '.join(map(str, paths))}; looked for {', '.join(SUFFIXES)}")
        p, skipped = _of_files(predictor, [str(file) for file, _ in files], skip_bad)
        kept = [pair for i, pair in enumerate(files) if i not in skipped]
        names, label = [str(file) for file, _ in kept], torch.tensor([number for _, number in kept])
    write_text(out, _table(names, p, label, classes, all_classes))
    found: dict[str, Any] = {"images": len(names), "out": str(out)} | _judged(names, p, label, classes)
    return found | {"skipped": list(skipped.values())} if skipped else found


def _files(path: Path) -> list[Path]:
    """The file, or the images in the folder and its folders, in order; links are followed, hidden ones left out."""
    if not path.exists():
        raise UserError(f"no file or folder {str(path)!r}")
    return [Path(path, name) for name in files_below(path, "")] if path.is_dir() else [path]


def _label(file: Path, top: Path, classes: Sequence[str]) -> int:
    """Number of the class that the nearest folder between `top` and the file is called after, else -1."""
    inside = map(composed, file.relative_to(top).parts[:-1] if file != top else ())
    return next((classes.index(name) for name in reversed([*inside]) if name in classes), -1)


def _of_files(predictor: Predictor, names: Sequence[str], skip_bad: bool) -> tuple[Tensor, dict[int, str]]:
    """(N, C) probabilities of the images that can be read, and of the others place -> reason.

    A batch of images at a time is in memory.

    Raises:
        BadImageError: an image cannot be read, unless these are skipped; or none can.
    """
    found: list[Tensor] = []
    skipped: dict[int, str] = {}

    def read(name: str) -> Array | BadImageError:
        try:
            return to_pixels(name, predictor.square, name)
        except BadImageError as error:
            return error

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(names), BATCH):
            good = []
            for i, pixels in enumerate(pool.map(read, names[start : start + BATCH]), start):
                if isinstance(pixels, BadImageError):
                    if not skip_bad:
                        raise BadImageError(f"{pixels}; --on-bad-image skip goes on without such images")
                    skipped[i] = str(pixels)
                else:
                    good.append(pixels)
            if good:
                found.append(predictor.probabilities(torch.from_numpy(np.stack(good))))
    if not found:
        raise BadImageError(f"no image can be read; the first: {skipped[0]}")
    return torch.cat(found), skipped


def _judged(names: Sequence[str], p: Tensor, label: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy and the most confident errors among the images with a label; nothing where there is none."""
    known = int((label >= 0).sum())
    if not known:
        return {}
    confidence, guess = p.max(1)
    wrong = ((label >= 0) & (guess != label)).nonzero()[:, 0]
    first = wrong[confidence[wrong].argsort(descending=True, stable=True)][:ERRORS].tolist()
    errors = [
        {
            "file": names[i],
            "label": classes[int(label[i])],
            "class": classes[int(guess[i])],
            "confidence": round(float(confidence[i]), 4),
        }
        for i in first
    ]
    return {"labeled": known, "top1": scores(p.log(), label)["top1"], "errors": errors}


def _table(names: Sequence[str], p: Tensor, label: Tensor, classes: Sequence[str], all_classes: bool) -> str:
    known = bool((label >= 0).any())
    rows = [["file", *(["label"] if known else []), "class", "confidence", *(classes if all_classes else [])]]
    confidence, guess = p.max(1)
    for i, name in enumerate(names):
        said = [classes[int(label[i])] if label[i] >= 0 else ""] if known else []
        each = [f"{x:.4f}" for x in p[i]] if all_classes else []
        rows.append([name, *said, classes[int(guess[i])], f"{confidence[i]:.4f}", *each])
    return csv_text(rows)
