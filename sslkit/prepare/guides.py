"""The networks that `predictions` names: what each predicts, and that none knows labels that this run has not."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sslkit import registry
from sslkit.config import Config, Data, Flat
from sslkit.config.resolve import read_toml
from sslkit.data import Images
from sslkit.data.given import Given, read_rows
from sslkit.data.image import Square, Tone
from sslkit.data.parts import Parts
from sslkit.data.splits import Split
from sslkit.data.stored import Stored
from sslkit.errors import UserError, listed
from sslkit.guided import Guided
from sslkit.store import is_done, read_json, store_of, weights_of

Read = Callable[[Flat], Parts]  # the parts of the data that a configuration names


def guided(config: Config, images: Images, split: Split, parts: Parts, read: Read) -> tuple[Images, list[str]]:
    """The images with what `predictions` names, runs and files with commas between; or that nobody has a use for it.

    Raises:
        UserError: the algorithm learns predictions and none is named; no such run or file; its classes are others;
            images of the pool have no prediction; a run has learned labels that are hidden from this one.
    """
    cls = registry.load("algorithm", config.algo.name)
    if not ("semi" in config.stages and issubclass(cls, Guided)):
        return images, [f"predictions are of no use to {config.algo.name}"] if config.predictions else []
    words = [word.strip() for word in config.predictions.split(",") if word.strip()]
    if not words and not cls.needs:
        return images, []
    if not words:
        needs = "learns predictions of other networks: name finished runs, or files, by --set predictions=RUN,RUN"
        raise UserError(f"algorithm {config.algo.name!r} {needs}")
    found = [_of(Path(word).expanduser(), config.data, images, split, parts, read) for word in words]
    keys = [one.key for one in found]
    twice = next((one.name for one in found if keys.count(one.key) > 1), None)
    if twice is not None:
        raise UserError(f"predictions: {twice} is named twice, and would count twice")
    given = tuple(sorted(found, key=lambda one: one.key))  # their order is no matter
    return replace(images, given=given), [*filter(None, [_lacking(given, images, split)])]


def _of(path: Path, data: Data, images: Images, split: Split, parts: Parts, read: Read) -> Given:
    if not path.exists():
        raise UserError(f"predictions={path}: there is no such run or file")
    if path.is_dir():
        return _of_run(path, data, images, split, parts, read)
    rows = read_rows(path, images.classes, parts.names, _source(parts))
    lacking = [images.names[i] for i in split.pool.tolist() if np.isnan(rows[i]).any()]
    if lacking:
        some = f"{len(lacking)} of {len(split.pool)} images of the pool: {listed(lacking, 3)}"
        raise UserError(f"predictions in {path} lack {some}")
    return Given(hashlib.sha256(rows.tobytes()).hexdigest()[:16], str(path), rows)


def _lacking(given: Sequence[Given], images: Images, split: Split) -> str:
    """What a file does not say, and that nobody can tell what its network has seen."""
    files = [one for one in given if one.rows is not None]
    if not files:
        return ""
    bare = max(int(np.isnan(one.rows[split.labeled]).any(1).sum()) for one in files if one.rows is not None)
    without = f"; {bare} labelled images have none there, and learn their label alone" if bare else ""
    names = listed([one.name for one in files])
    return f"predictions in {names}: which labels their network has seen is not known{without}"


def _source(parts: Parts) -> Callable[[int], Any]:
    count = len(parts.train.images)
    return lambda i: parts.train.source(i) if i < count else parts.test.source(i - count)


def _of_run(run: Path, data: Data, images: Images, split: Split, parts: Parts, read: Read) -> Given:
    if not is_done(run):
        raise UserError(f"predictions={run} is not a finished run")
    trained = [key for label, key in read_json(run / "run.json")["stages"].items() if label != "pretrain"]
    if not trained:
        raise UserError(f"predictions={run} has pre-trained only: there is no classifier in it")
    stage = store_of(run) / "stages" / trained[-1]
    about = read_json(stage / "spec.json")["data"]
    if about["classes"] != images.classes:
        apart = sorted({*about["classes"]} ^ {*images.classes}) or about["classes"]
        raise UserError(
            f"predictions={run}: its classes are not those of the data, nor in their order: {listed(apart)}"
        )
    weights_of(stage)
    theirs = read(read_toml(run / "config.toml"))
    _knows_no_more(run, theirs, parts, split, images)
    tone = Tone(about.get("white"), tuple(about.get("bands", ())))
    square = Square(int(about["size"]), float(about.get("crop", 1)), about.get("interpolation", "bicubic"), tone)
    same = square == Square(images.size, data.crop, data.interpolation, images.tone) and not data.whole
    stored = None if same else Stored(_source(parts), parts.names, square)
    return Given(trained[-1], str(run), stage=stage, stored=stored)


def _knows_no_more(run: Path, theirs: Parts, parts: Parts, split: Split, images: Images) -> None:
    """Its labelled and validation images are among ours: else what it predicts has seen what is hidden here.

    Raises:
        UserError: they are not; or have another label, so it is another data set.
    """
    drawn, names = read_json(run / "split.json"), theirs.names
    label = np.concatenate([theirs.train.label, theirs.test.label])
    learned = {names[i]: int(label[i]) for i in (*drawn["labeled"], *drawn["val"])}
    ours = {images.names[i]: int(images.label[i]) for i in (*split.labeled.tolist(), *split.val.tolist())}
    tested = {images.names[i] for i in split.test.tolist()}
    strange = sorted({*learned} - {*parts.names})
    if strange or any(ours.get(name, c) != c for name, c in learned.items()):
        what = strange[0] if strange else next(name for name, c in learned.items() if ours.get(name, c) != c)
        raise UserError(f"predictions={run} is a run on other data: {what} is not the same image with the same label")
    if leaked := sorted({*learned} & tested):
        raise UserError(
            f"predictions={run} has learned labels of {len(leaked)} images of the test: {listed(leaked, 3)}"
        )
    if more := sorted({*learned} - {*ours}):
        raise UserError(
            f"predictions={run} has learned {len(more)} labels that are hidden from this run, as of {more[0]}: train "
            "it with the same data.labels and seed"
        )
