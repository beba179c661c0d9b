"""Predictions of a finished run: for its test set, or for other images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sslkit import registry
from sslkit.config import Flat
from sslkit.config.resolve import options, read_toml
from sslkit.data import Raw
from sslkit.data.csv_files import csv_text
from sslkit.data.depth import dim, toned
from sslkit.data.image import Array, BadImageError, Square, to_pixels
from sslkit.data.threads import watching
from sslkit.errors import UserError, unknown
from sslkit.finished import Predictor, label_sets, load, test_set
from sslkit.finished.inputs import Input, inputs
from sslkit.prepare.dataset import tone_asked
from sslkit.store.files import new_file, write_text
from sslkit.training.evaluation import BATCH, scores

ERRORS = 10  # that are listed
TONE = ("data.white", "data.bands")
MEANT = [f"data.{name}" for name in ("image", "label", "split", "group", "train", "test", "val", "unlabeled")]
UNKNOWN = "unknown"  # the class of images below the confidence that is asked for
OnBad = Literal["mark", "skip", "stop"]


@dataclass(frozen=True)
class Form:
    """What the table has beside file, label, class and confidence."""

    all_classes: bool = False  # a column for every class, its probability
    top: int = 1  # so many classes, the most probable ones
    unknown_below: float = 0.0  # below this confidence the class is `UNKNOWN`

    @property
    def best(self) -> list[str]:
        """The names of the columns of classes and confidences, the most probable first."""
        numbers = ["", *(f"_{k}" for k in range(2, self.top + 1))]
        return [f"{word}{number}" for number in numbers for word in ("class", "confidence")]

    def shares(self, classes: Sequence[str]) -> list[str]:
        """The names of the columns of all classes: theirs, or p(NAME) where a column is called as one of them."""
        if not self.all_classes:
            return []
        taken = {"file", "label", "status", *self.best} & {*classes}
        return [f"p({name})" for name in classes] if taken else [*classes]

    def check(self, classes: Sequence[str]) -> None:
        """Raise where the classes do not go with it."""
        if not 1 <= self.top <= len(classes):
            raise UserError(f"--top must be from 1 to the number of classes, {len(classes)}, got {self.top}")
        if not 0 <= self.unknown_below <= 1:
            raise UserError(f"--unknown-below is a confidence and must be from 0 to 1, got {self.unknown_below:g}")
        if self.unknown_below and UNKNOWN in classes:
            raise UserError(f"--unknown-below: a class is called {UNKNOWN!r} already; filter by confidence instead")


def predict(
    run: Path,
    paths: Sequence[str | Path],
    *,
    test: bool = False,
    out: Path = Path("predictions.csv"),
    form: Form = Form(),
    network: str = "averaged",
    calibrated: bool = False,
    on_bad_image: OnBad = "mark",
    keys: Mapping[str, Any] = {},
) -> dict[str, Any]:
    """Write `out` with file, class name and confidence of every image, and its label where that is known.

    Where images have several labels a row has all that reach their thresholds, and scores are `map` and F1 at these.

    Returns their number; where labels are known also `labeled`, how many, `top1` of the most probable class, and
    `errors`: at most ten of the most confident ones; with `unknown_below` also `unknown`, how many are; and `remarks`
    on how the images and their labels were understood.

    Args:
        run: folder of a finished run.
        paths: as `inputs` takes them.
        test: predict the run's own test set instead.
        network: "averaged" or "student" at the last step, or "best", the averaged one at the best step by `--val`.
        calibrated: confidences by the temperature that was fitted on the validation part.
        on_bad_image: an image that cannot be read has a row without a class, whose column `status` says why; or it is
            left out; or nothing is written. `unread`, or `skipped`, lists why.
        keys: which columns or folders of data sets among `paths` are meant, as {"data.test": "val"}; the run's own is
            read as the run did. `data.white` and `data.bands` are heeded for all.

    Raises:
        UserError: no such run, no image, none that can be read, `out` exists or is no CSV file, keys without a use,
            data that has changed since the run.
    """
    if test == bool(paths):
        raise UserError("give either images to predict, in files, folders or data sets, or --test")
    new_file(out)
    if out.suffix.lower() != ".csv":
        raise UserError(f"--out {out}: predictions are a CSV file, whose name ends in .csv")
    predictor = load(run, network, calibrated)
    classes: list[str] = predictor.spec.data["classes"]
    form.check(classes)
    if predictor.thresholds is not None and (form.top > 1 or form.unknown_below):
        raise UserError(
            "--top and --unknown-below are for images of one class each; a run with several labels says all"
        )
    bad: dict[int, str] = {}
    said: list[str] = []
    if test:
        if keys:
            raise UserError(f"the run's own test set is read as it was; drop {next(iter(keys))}")
        names, pixels, label = test_set(run, predictor.spec)
        p = predictor.probabilities(pixels)
        each = label.tolist() if label.ndim == 1 else [-1] * len(names)
        found = [Input(name, None, c) for name, c in zip(names, each, strict=True)]
    else:
        found = _meant(run, paths, classes, keys, said, multilabel=predictor.thresholds is not None)
        p, bad = _of_images(predictor, _square(predictor, found, keys, said), found, on_bad_image)
    good = [one for i, one in enumerate(found) if i not in bad]
    shown, marked = (good, {}) if on_bad_image == "skip" else (found, bad)
    shares = form.shares(classes)
    if predictor.thresholds is not None:
        of_read, of_shown = (
            label if test else label_sets.targets([one.labels for one in some], classes) for some in (good, shown)
        )
        cells = label_sets.rows([one.name for one in shown], p, of_shown, marked, classes, predictor.thresholds, shares)
        judged = label_sets.judged(p, of_read, predictor.thresholds)
    else:
        cells, judged = _rows(shown, p, marked, classes, form), _judged(good, p, classes)
    write_text(out, csv_text(cells))
    if shares and shares != classes:
        said.append(
            f"the columns of classes are called {shares[0]!r} and so on, as a class is called as another column"
        )
    told: dict[str, Any] = {"images": len(shown), "out": str(out)} | judged
    told |= {"unknown": int((p.amax(1) < form.unknown_below).sum())} if form.unknown_below else {}
    told |= {"skipped" if on_bad_image == "skip" else "unread": [*bad.values()]} if bad else {}
    return told | ({"remarks": said} if said else {})


def _meant(
    run: Path,
    paths: Sequence[str | Path],
    classes: Sequence[str],
    keys: Mapping[str, Any],
    said: list[str],
    *,
    multilabel: bool,
) -> list[Input]:
    """The images that are named.

    Raises:
        UserError: no image, or keys that nothing has a use for.
    """
    of_data = {key: value for key, value in keys.items() if key not in TONE}
    unused = [key for key in of_data if key not in MEANT]
    if unused:
        raise unknown("key for predictions", unused[0], [*MEANT, *TONE])
    own, asked = read_toml(run / "config.toml"), list[str]()

    def given(name: str) -> Flat:
        asked.append(name)
        sets = multilabel and "multilabel" in options(registry.load("dataset", name))
        own_keys = own if name == own.get("data.name") else {}
        return {**own_keys, **of_data, **({"data.multilabel": True} if sets else {})}

    found = inputs([str(path) for path in paths], classes, given, said)
    if of_data and not asked:
        raise UserError(f"{next(iter(of_data))} is for tables and data sets, and none is among the paths; drop it")
    return found


class _Sources(Sequence[Any]):
    """What images are opened from, each got when it is asked for."""

    def __init__(self, found: Sequence[Input]) -> None:
        self.found = found

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, i: Any) -> Any:
        return self.found[i].opened()


def _square(predictor: Predictor, found: Sequence[Input], keys: Mapping[str, Any], said: list[str]) -> Square:
    """What of the images is seen: as in training, but for the keys of `TONE`.

    Args:
        said: gets what white is then, or that images are dark.

    Raises:
        UserError: a key has a wrong value, or no image is such.
    """
    square, nobody = predictor.square, np.full(len(found), -1)
    raw = Raw(_Sources(found), nobody, [one.name for one in found], tone=square.tone)
    asked = {key: value for key, value in keys.items() if key in TONE}
    if not asked:
        dark = dim(raw) if square.tone.white is None else ""
        said += [dark] if dark else []
        return square
    bands = {"data.bands": ",".join(map(str, square.tone.bands))} if square.tone.bands else {}
    white = {"data.white": str(square.tone.white)} if square.tone.white is not None else {}
    tone, about = toned(raw, *tone_asked(bands | white | asked), None, these="images to predict")
    said += [about] if about else []
    return replace(square, tone=tone)


def _of_images(
    predictor: Predictor, square: Square, found: Sequence[Input], on_bad: OnBad
) -> tuple[Tensor, dict[int, str]]:
    """(N, C) probabilities of the images that can be read, and of the others place -> reason.

    A batch of images at a time is in memory.

    Raises:
        BadImageError: an image cannot be read, and that stops it; or none can.
    """
    parts: list[Tensor] = []
    bad: dict[int, str] = {}

    def read(one: Input) -> Array | BadImageError:
        try:
            return to_pixels(one.opened(), square, one.name)
        except BadImageError as error:
            return error

    with ThreadPoolExecutor() as pool, watching("images are classified", len(found)) as advance:
        for start in range(0, len(found), BATCH):
            good = []
            for i, pixels in enumerate(pool.map(read, found[start : start + BATCH]), start):
                if isinstance(pixels, BadImageError):
                    if on_bad == "stop":
                        raise BadImageError(f"{pixels}; --on-bad-image mark goes on, and says so in its row")
                    bad[i] = str(pixels)
                else:
                    good.append(pixels)
            if good:
                parts.append(predictor.probabilities(torch.from_numpy(np.stack(good))))
            advance(min(BATCH, len(found) - start))
    if not parts:
        raise BadImageError(f"no image can be read; the first: {bad[0]}")
    return torch.cat(parts), bad


def _judged(good: Sequence[Input], p: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy and the most confident errors among the images with a label; nothing where there is none."""
    label = torch.tensor([one.label for one in good])
    known = int((label >= 0).sum())
    if not known:
        return {}
    confidence, guess = p.max(1)
    wrong = ((label >= 0) & (guess != label)).nonzero()[:, 0]
    first = wrong[confidence[wrong].argsort(descending=True, stable=True)][:ERRORS].tolist()
    errors = [
        {
            "file": good[i].name,
            "label": classes[int(label[i])],
            "class": classes[int(guess[i])],
            "confidence": round(float(confidence[i]), 4),
        }
        for i in first
    ]
    return {"labeled": known, "top1": scores(p.log(), label)["top1"], "errors": errors}


def _rows(
    shown: Sequence[Input], p: Tensor, bad: dict[int, str], classes: Sequence[str], form: Form
) -> list[list[str]]:
    """The table, its names of columns first."""
    known = any(one.label >= 0 for one in shown)
    each = form.shares(classes)
    rows = [["file", *["label"] * known, *form.best, *each, *["status"] * bool(bad)]]
    confidence, guess = p.topk(form.top, 1)
    place = 0  # among the images that could be read
    for i, one in enumerate(shown):
        said = [one.name, *[classes[one.label] if one.label >= 0 else ""] * known]
        if i in bad:
            rows.append([*said, *[""] * len([*form.best, *each]), bad[i]])
            continue
        best = [(classes[int(c)], f"{x:.4f}") for c, x in zip(guess[place], confidence[place], strict=True)]
        if confidence[place, 0] < form.unknown_below:
            best[0] = (UNKNOWN, best[0][1])
        shares = [f"{x:.4f}" for x in p[place]] if form.all_classes else []
        rows.append([*said, *[word for pair in best for word in pair], *shares, *["read"] * bool(bad)])
        place += 1
    return rows
