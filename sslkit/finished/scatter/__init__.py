"""A map of a finished run: every image that it knows as a point, as a page to look at or a table for other tools.

Labels that were hidden from the run stay hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.finished import changed, load, one_class_each, prepared_data
from sslkit.finished.scatter.page import write_page
from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.projection import project
from sslkit.finished.scatter.table import write_table
from sslkit.finished.seen import seen_by
from sslkit.prepare import Prepared
from sslkit.randomness import key, permutation
from sslkit.store import store_of
from sslkit.store.files import new_file
from sslkit.training.spec import stamp

WRITERS = {".html": write_page, ".parquet": write_table}
MOST = 20_000


def map_run(run: Path, outs: Sequence[Path], most: int = MOST) -> dict[str, Any]:
    """Write maps of a finished run: each of `outs` is a page, .html, or a table, .parquet, of the same points.

    Images are those of all parts, labelled ones first, by the averaged network: a point lies where its features do,
    projected to a plane. Returns `images`, how many; `of`, how many the run knows; `projection`, "umap" or "pca";
    `said`, how images and projection were chosen; and `out`.

    Args:
        most: of more images so many are drawn: all labelled ones, of the others as many as go, by the run's seed.

    Raises:
        UserError: no such run, weights that were dropped, data that has changed since or is gone; a file that is
            there, or ends in something else; `most` below 2.
    """
    for out in outs:
        new_file(out)
        if out.suffix.lower() not in WRITERS:
            raise UserError(f"--out {out}: a map is a page, whose name ends in .html, or a table, in .parquet")
    if len({out.absolute() for out in outs}) < len(outs):
        raise UserError(f"--out {outs[0]}: the same file is named twice")
    if most < 2:
        raise UserError(f"--most must be 2 or more, got {most}")
    points, total = find_points(run, most)
    for out in outs:
        WRITERS[out.suffix.lower()](points, out)
    found = {"images": len(points.names), "of": total, "projection": points.projection.name}
    return found | {"said": [points.said, points.projection.said], "out": [str(out) for out in outs]}


def find_points(run: Path, most: int = MOST) -> tuple[Points, int]:
    """The points of a map of a run, and how many images it knows; errors as those of `map_run`."""
    predictor = load(run)
    one_class_each(predictor.spec, "sslkit map")
    prepared = prepared_data(run, predictor.spec)
    if stamp(prepared.split.labeled) != predictor.spec.data["labeled"]:
        raise changed(run)
    parts, index, part = _all(prepared)
    total = len(index)
    chosen = _drawn(part, most, prepared.config.seed)
    index, part = index[chosen], part[chosen]
    images = prepared.images
    found = seen_by(predictor, images, store_of(run) / "features", index)
    known = np.array([name in ("labeled", "val", "test") for name in parts])[part]
    said = f"all {total:,} images" if len(index) == total else _sampled(part, total, parts)
    points = Points(
        run=run.absolute().name,
        classes=images.classes,
        parts=parts,
        names=[images.names[i] for i in index],
        pixels=images.subset(index),
        part=part,
        label=np.where(known, np.maximum(images.label[index], -1), -1),
        p=found.p,
        features=found.features,
        projection=project(found.features, prepared.config.seed),
        said=said,
    )
    return points, total


def _all(prepared: Prepared) -> tuple[list[str], Array, Array]:
    """The parts that have images, labelled ones first; the images of all; and of each the place of its part."""
    found = prepared.split.parts()
    found["pool"] = np.setdiff1d(found["pool"], found["labeled"])
    names = [name for name in ("labeled", "val", "test", "unknown", "pool") if len(found.get(name, ()))]
    part = np.repeat(np.arange(len(names)), [len(found[name]) for name in names])
    return names, np.concatenate([found[name] for name in names]), part


def _drawn(part: Array, most: int, seed: int) -> Array:
    """(n,) places of at most `most` images, in order: those of the first part go first, of the rest any are drawn."""
    if len(part) <= most:
        return np.arange(len(part))
    order = permutation(key(seed, "map"), len(part)).numpy()
    first = part[order] == 0
    return np.sort(np.concatenate([order[first], order[~first]])[:most])


def _sampled(part: Array, total: int, parts: Sequence[str]) -> str:
    counts = np.bincount(part, minlength=len(parts))
    each = ", ".join(f"{count:,} {name}" for name, count in zip(parts, counts, strict=True))
    return f"{len(part):,} of {total:,} images, drawn with labelled ones first ({each}); --most N takes more"
