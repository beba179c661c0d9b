"""What a finished run says about its data: which images to label next, and which labels are likely wrong.

Labels that were hidden from the run stay hidden.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data.csv_files import csv_text
from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.finished import changed, load, load_probe, one_class_each, prepared_data
from sslkit.finished.audit.label_next import label_next
from sslkit.finished.audit.outside import LEVEL, at_least, shares_above
from sslkit.finished.audit.sheet import Card, page
from sslkit.finished.audit.suspects import out_of_sample, suspects
from sslkit.finished.seen import Seen, seen_by
from sslkit.labelling.proposals import TOOLS, Proposal, files_for
from sslkit.prepare import Prepared
from sslkit.store import store_of
from sslkit.store.files import filling, new_folder, write_text
from sslkit.training.spec import stamp

SUSPECT = ("file", "label", "suggested", "score", "likely", "part")
NAMELESS = re.compile(r"(train|test) image \d+")  # what an image without a file is called
NEXT = ("file", "label", "suggested", "score", "confidence")
OUTSIDE = ("file", "suggested", "score", "p")


See = Callable[[Array], Seen]  # of the images with these numbers


@dataclass(frozen=True)
class Row:
    """An image of one of the lists."""

    place: int  # in the data set
    label: str  # "" is none
    suggested: str
    score: float
    confidence: float  # the probability of what is suggested
    also: dict[str, str]  # further columns


def audit(run: Path, out: Path, n: int = 100, to: str = "csv", prefix: str | None = None) -> dict[str, Any]:
    """Write `label_next.csv`, `suspect_labels.csv`, `labels.csv`, `outside.csv`, `index.html` to the folder `out`.

    Labels are of the labelled, validation and test part; those of other images stay unseen. The first two files hold
    at most `n` images each. `labels.csv` holds every label and, without one, the images to label next: corrected and
    filled in it goes back by `--labels file:out/labels.csv`. `outside.csv` holds the images of the pool that look less
    like a class of the labels than 95% of the validation and test images do, for `--pool without:out/outside.csv`.
    Returns the lengths of the lists, `shared`, the share of all labels that the predictions share (where it is small
    most suspects are errors of the predictions), and `outside_at_least`, a bound for the share of the pool that is of
    no known class, which holds with 95% confidence.

    Args:
        to: "label-studio" or "cvat" also writes both lists as tasks with predictions, for such a tool to import.
        prefix: what stands before an image's name there; see `files_for`.

    Raises:
        UserError: no such run, data that has changed since, `out` is there, `n` below 1; `to` a tool, and no files.
    """
    new_folder(out)
    if n < 1:
        raise UserError(f"--n must be 1 or more, got {n}")
    predictor = load(run)
    one_class_each(predictor.spec, "sslkit audit")
    prepared = prepared_data(run, predictor.spec)
    if stamp(prepared.split.labeled) != predictor.spec.data["labeled"]:
        raise changed(run)
    see = partial(seen_by, predictor, prepared.images, store_of(run) / "features")
    labeled = see(prepared.split.labeled)
    probe = load_probe(run)
    start = partial(seen_by, probe, prepared.images, store_of(run) / "features") if probe else None
    held, pool = see(_held(prepared)), see(_pool(prepared))
    doubtful = _suspects(held, start, prepared, labeled)
    rows, wanted, outside = doubtful[:n], _wanted(pool, prepared, labeled, n), _outside(pool, held, prepared)
    others = _others(prepared, rows)
    shared = 1 - len(doubtful) / (len(rows) + len(others))
    cards = partial(_cards, prepared=prepared)
    files = {
        "suspect_labels.csv": _csv(SUSPECT, rows, prepared),
        "label_next.csv": _csv(NEXT, wanted, prepared),
        "labels.csv": _csv(SUSPECT[:4], [*rows, *wanted, *others], prepared),
        "outside.csv": _csv(OUTSIDE, outside, prepared),
        "index.html": page(run.absolute().name, cards(rows), cards(wanted), cards(outside[:n]), shared),
    }
    if to in TOOLS:
        files |= _tasks(to, [*rows, *wanted], prepared, prefix, run.absolute().name)
    with filling(out) as folder:
        for name, text in files.items():
            write_text(folder / name, text)
    likely = sum(row.also["likely"] == "yes" for row in doubtful)
    found = {"suspect_labels": len(rows), "likely": likely, "label_next": len(wanted), "shared": shared}
    found |= {"pool": len(pool.score), "outside": len(outside), "outside_at_least": at_least(pool.score, held.score)}
    return found | {"out": str(out), "files": [*files]}


def _held(prepared: Prepared) -> Array:
    """The validation and test images that have a label, the former first."""
    held = np.concatenate([prepared.split.val, prepared.split.test])
    known: Array = held[prepared.images.label[held] >= 0]
    return known


def _pool(prepared: Prepared) -> Array:
    """The images of the pool without the labelled ones."""
    return np.setdiff1d(prepared.split.pool, prepared.split.labeled)


def _suspects(seen: Seen, start: See | None, prepared: Prepared, labeled: Seen) -> list[Row]:
    """Images whose label the prediction does not share, the most doubtful first.

    No label judges itself. The labelled part is judged by a head that is cross-validated on features; the features of
    the run have learned these labels by heart, so those of its start are taken where there are such. Of the validation
    and the test part the run has learned nothing: there its own prediction and a cross-validated head count alike.

    Args:
        seen: of the validation and test part.
        start: of the network with which the run began, if no label has changed it.
        labeled: of the labelled part, by the run's network.
    """
    split, images = prepared.split, prepared.images
    held = _held(prepared)
    parts = np.where(np.isin(held, split.val), "val", "test")
    first = start(split.labeled) if start else labeled
    by_others = partial(out_of_sample, classes=len(images.classes), seed=prepared.config.seed)
    of_labeled = by_others(first.features, images.label[split.labeled])
    of_held = by_others(seen.features, images.label[held])
    alone = np.bincount(images.label[held])[images.label[held]] == 1  # of its class, which no head can judge
    of_held = np.where(alone[:, None], seen.p, (seen.p + of_held) / 2)
    rows = []
    for index, part, p in (
        (split.labeled, ["labeled"] * len(split.labeled), of_labeled),
        (held, parts.tolist(), of_held),
    ):
        judged = suspects(p, images.label[index])
        for i in np.flatnonzero(judged.doubted):
            label, suggested = images.classes[images.label[index[i]]], images.classes[judged.suggested[i]]
            also = {"likely": "yes" if judged.likely[i] else "no", "part": part[i]}
            sure = float(p[i, judged.suggested[i]])
            rows.append(Row(int(index[i]), label, suggested, float(judged.score[i]), sure, also))
    return sorted(rows, key=lambda row: -row.score)


def _outside(seen: Seen, held: Seen, prepared: Prepared) -> list[Row]:
    """Images of the pool that look less like a known class than 95% of those held out, the least like one first."""
    images, pool = prepared.images, _pool(prepared)
    p = shares_above(seen.score, held.score)
    order = [i for i in np.argsort(-seen.score, kind="stable").tolist() if p[i] <= LEVEL]
    guess, sure = seen.p.argmax(1), seen.p.max(1, initial=0)
    return [
        Row(int(pool[i]), "", images.classes[guess[i]], float(seen.score[i]), float(sure[i]), {"p": f"{p[i]:.4f}"})
        for i in order
    ]


def _wanted(seen: Seen, prepared: Prepared, labeled: Seen, n: int) -> list[Row]:
    """Images of the pool, in the order in which their labels are worth most; `seen` is of the pool."""
    images, pool = prepared.images, _pool(prepared)
    order, score = label_next(seen.p, seen.features, labeled.features, n)
    return [
        Row(
            int(pool[i]),
            "",
            images.classes[int(seen.p[i].argmax())],
            value,
            float(seen.p[i].max()),
            {"confidence": f"{seen.p[i].max():.4f}"},
        )
        for i, value in zip(order.tolist(), score.tolist(), strict=True)
    ]


def _others(prepared: Prepared, rows: Sequence[Row]) -> list[Row]:
    """The labelled images that are not among `rows`."""
    split, images = prepared.split, prepared.images
    index = np.concatenate([split.labeled, split.val, split.test])
    rest = np.setdiff1d(index[images.label[index] >= 0], [row.place for row in rows])
    return [Row(int(i), images.classes[images.label[i]], "", 0.0, 0.0, {}) for i in rest]


def _tasks(to: str, rows: Sequence[Row], prepared: Prepared, prefix: str | None, model: str) -> dict[str, str]:
    """What a labelling tool imports: file name -> text."""
    names = prepared.images.names
    if rows and all(NAMELESS.fullmatch(names[row.place]) for row in rows):
        raise UserError(f"the images of {prepared.config.data.name} are no files, which --to {to} needs")
    told = [Proposal(names[row.place], row.label, row.suggested, row.confidence, row.score) for row in rows]
    return files_for(to, told, prepared.images.classes, prefix, model)


def _csv(columns: Iterable[str], rows: Sequence[Row], prepared: Prepared) -> str:
    lines = [[*columns]]
    for row in rows:
        said = {"file": prepared.images.names[row.place], "label": row.label, "suggested": row.suggested, **row.also}
        said |= {"score": f"{row.score:.4f}" if row.suggested else ""}
        lines.append([said[column] for column in columns])
    return csv_text(lines)


def _cards(rows: Sequence[Row], prepared: Prepared) -> list[Card]:
    pixels = prepared.images.subset(np.array([row.place for row in rows], np.int64))
    pictures = pixels[slice(0, len(rows))] if rows else ()
    return [
        Card(picture.numpy(), prepared.images.names[row.place], row.label, row.suggested, row.score, row.also)
        for picture, row in zip(pictures, rows, strict=True)
    ]
