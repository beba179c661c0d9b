"""What a data set holds: classes and parts, sizes, kinds, damage, duplicates; as JSON and as tables.

What would only stop a run is in the report, and stops nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from sslkit.data import UNKNOWN, Images, label_sets
from sslkit.data.image import Array
from sslkit.data.near import SURE, near_duplicates
from sslkit.data.parts import Parts
from sslkit.data.splits import split
from sslkit.errors import UserError
from sslkit.look.inspection import Look, inspect
from sslkit.prepare import Gathered, gather
from sslkit.store.anywhere import is_remote, place
from sslkit.terminal import count

MOST, MANY = 10, 40  # groups of duplicates and bad files, and classes, that a table lists
UNEVEN = 5.0  # largest class against the smallest, from where on it is remarked


def named_data(text: str) -> str:
    """The name of a data set for what the user names: a folder, a table, or a data set.

    Raises:
        UserError: it is the path of nothing.
    """
    path = place(text)
    if path.is_dir():
        return f"{'parquet' if next(path.rglob('*.parquet'), None) else 'folder'}:{text}"
    if path.is_file():
        return f"{'wds' if path.suffix.lower() == '.tar' else 'csv'}:{text}"
    if is_remote(text) or "/" in text.partition(":")[0]:
        raise UserError(f"no folder or file {text!r}")
    return text


def data_report(request: Mapping[str, Any]) -> dict[str, Any]:
    """All that is said about the data of a request, of JSON values.

    Raises:
        UserError: they cannot be read at all. What would only stop a run is in the report.
    """
    looks: dict[str, Look] = {}

    def look(parts: Parts, rule: str, cache: Path | None) -> Parts:
        seen = [inspect(raw, part) for raw, part in ((parts.train, "train"), (parts.test, "test"))]
        looks.update(zip(parts.names, (one for part in seen for one in part), strict=True))
        left = parts.without_bad(*({i: one.bad for i, one in enumerate(part) if one.bad} for part in seen))
        return replace(left, remarks=parts.remarks)  # the report lists them

    found = gather(request, look=look)
    images, stop = _images(found), ""
    roles = np.where(images.label >= 0, "training", "unlabelled").astype(object)
    roles[found.val], roles[images.train :] = "validation", "test"
    try:
        places = split(images, found.config.data, found.config.seed, found.groups, found.val).parts()
    except UserError as error:
        places, stop = {}, str(error)
    if found.config.data.multilabel:
        images = label_sets.apart(images)
    chosen = [looks[name] for name in images.names]
    bad = [one.bad for one in looks.values() if one.bad]
    if bad and found.config.data.on_bad_image == "stop":
        stop = f"{len(bad)} of {len(looks)} images cannot be read; --on-bad-image skip goes on without them"
    return {
        "data": found.config.data.name,
        "remarks": found.parts.remarks,
        "stop": stop,
        "size": found.config.data.size,
        "parts": {name: len(index) for name, index in places.items()},
        "classes": _classes(images, np.setdiff1d(np.arange(images.train), found.val), places),
        "imbalance": _imbalance(images, np.setdiff1d(np.arange(images.train), found.val)),
        **_shapes(chosen),
        **_moments([one for one, role in zip(chosen, roles, strict=True) if role != "test"]),
        "bad": bad,
        **_duplicates(images, roles, chosen),
    }


def _images(found: Gathered) -> Images:
    """The data set without its pixels, which is enough for a split."""
    parts = found.parts
    label = np.concatenate([parts.train.label, parts.test.label]).astype(np.int64)
    nothing = np.empty((0, 3, 0, 0), np.uint8)
    return Images(nothing, label, len(parts.train.images), parts.classes, "", parts.names)


def _classes(images: Images, training: Array, places: Mapping[str, Array]) -> list[dict[str, Any]]:
    """Images of each class with a known label: in training, of these labelled and for validation, and in the test."""
    every = {"training": training, "labeled": [], "val": [], **places}
    every |= {"test": places.get("test", np.arange(images.train, len(images.label)))}
    counts = {
        name: images.counts(some[images.label[some] >= 0])
        for name in ("training", "labeled", "val", "test")
        for some in [np.asarray(every[name], np.int64)]
    }
    return [{"name": name, **{part: n[c] for part, n in counts.items()}} for c, name in enumerate(images.classes)]


def _imbalance(images: Images, training: Array) -> float | None:
    """Labelled training images of the largest class, as a multiple of those of the smallest."""
    counts = images.counts(training[images.label[training] >= 0])
    return max(counts) / min(counts) if min(counts) else None


def _shapes(looks: Sequence[Look]) -> dict[str, Any]:
    """Sizes in pixels as they are shown (upright), modes and formats as they are stored."""
    width, height = (np.array([getattr(one, side) for one in looks]) for side in ("width", "height"))
    aspect = np.maximum(width, height) / np.minimum(width, height)

    def spread(values: Array) -> list[float]:
        return [float(x) for x in np.quantile(values, [0, 0.5, 1], method="nearest")]

    return {
        "short_side": spread(np.minimum(width, height)),
        "long_side": spread(np.maximum(width, height)),
        "aspect": [round(x, 2) for x in spread(aspect)],
        "modes": dict(Counter(one.mode for one in looks).most_common()),
        "formats": dict(Counter(one.form or "array" for one in looks).most_common()),
    }


def _moments(looks: Sequence[Look]) -> dict[str, Any]:
    """Mean and deviation of each channel over the training part; every image counts the same."""
    mean, square = np.mean([np.asarray(one.moments) for one in looks], axis=0)
    return {"mean": mean.tolist(), "std": np.sqrt(np.maximum(square - mean**2, 0)).tolist()}


def _duplicates(images: Images, roles: Array, looks: Sequence[Look]) -> dict[str, list[dict[str, Any]]]:
    """Groups of images with the same bytes, and of others that look alike; of the former, one stands for all."""
    same: dict[Any, list[int]] = {}
    for i, one in enumerate(looks):
        same.setdefault(one.content or i, []).append(i)
    alone = [group[0] for group in same.values()]
    hashes = np.array([looks[i].hash for i in alone], np.uint64)
    near = near_duplicates(hashes, np.stack([np.asarray(looks[i].thumb) for i in alone]))
    groups = {
        "equal": [group for group in same.values() if len(group) > 1],
        "near": [[alone[k] for k in group] for group in near],
    }
    return {kind: [_group(images, roles, group) for group in found] for kind, found in groups.items()}


def _group(images: Images, roles: Array, group: Sequence[int]) -> dict[str, Any]:
    first = {int(images.label[i]): i for i in group if images.label[i] not in (-1, UNKNOWN)}  # label -> an image
    return {
        "images": [{"name": images.names[i], "part": str(roles[i])} for i in group],
        "across_test": len({roles[i] == "test" for i in group}) > 1,
        "labels": images.named(np.array([first[c] for c in sorted(first)], np.int64)),
    }


def notes(report: Mapping[str, Any]) -> list[str]:
    """What a program is told beside the report, as a person is by the titles of its tables."""
    blind = f"under {SURE} px the perceptual hash calls different images alike: near duplicates may be none"
    return [blind] if report["near"] and report["long_side"][1] < SURE else []


def tables(report: Mapping[str, Any]) -> Iterator[Table | Text]:
    """The report for a terminal; names in it are no markup."""
    yield from (Text(remark) for remark in report["remarks"])
    yield _facts(report)
    yield _class_table(report["classes"])
    if report["bad"]:
        yield _list(f"files that cannot be read: {len(report['bad'])}", report["bad"])
    blind = f"; under {SURE} px it calls different images alike" if report["long_side"][1] < SURE else ""
    kinds = (
        ("equal", "exact duplicates (same bytes)", " = "),
        ("near", f"near duplicates (perceptual hash{blind})", " ~ "),
    )
    for kind, title, sign in kinds:
        if report[kind]:
            across = sum(group["across_test"] for group in report[kind])
            yield _list(
                f"{title}: {count(len(report[kind]), 'group')}, {across} across training and test",
                [_sentence(group, sign) for group in sorted(report[kind], key=_first_told)],
            )
    if report["stop"]:
        yield Text(f"`sslkit run` would stop: {report['stop']}", style="bold")


def _first_told(group: Mapping[str, Any]) -> tuple[bool, int]:
    """Groups with test images come first, of these the largest."""
    return not group["across_test"], -len(group["images"])


def _sentence(group: Mapping[str, Any], sign: str) -> str:
    said = sign.join(f"{image['name']} ({image['part']})" for image in group["images"][:4])
    each = Counter(image["part"] for image in group["images"])
    parts = ", ".join(f"{number} {part}" for part, number in each.most_common())
    more = f" and {len(group['images']) - 4} more (in all {parts})" if len(group["images"]) > 4 else ""
    return said + more + (f"; labels differ: {', '.join(group['labels'])}" if len(group["labels"]) > 1 else "")


def _facts(report: Mapping[str, Any]) -> Table:
    table = Table(title="images", title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    parts = report["parts"]
    if parts:
        known = f"{parts['labeled']} labelled, {parts['val']} for validation"
        strange = f" and {parts['unknown']} of unknown classes" if "unknown" in parts else ""
        table.add_row("split", f"{known}, {parts['pool']} unlabelled, {parts['test']} test{strange}")
    for name, key in (("short side", "short_side"), ("long side", "long_side"), ("long side / short side", "aspect")):
        low, middle, high = (f"{x:g}" for x in report[key])
        spread = low if low == high else f"{low} to {high}, median {middle}"
        table.add_row(name, spread + ("" if key == "aspect" else " px"))
    table.add_row("input size", f"{report['size']} x {report['size']} px")
    for name, key in (("file formats", "formats"), ("colour modes (Pillow)", "modes")):
        table.add_row(name, Text(", ".join(f"{number} {name}" for name, number in report[key].items())))
    for key in ("mean", "std"):
        table.add_row(f"{key} (red, green, blue; 0 to 1)", ", ".join(f"{x:.3f}" for x in report[key]))
    if report["imbalance"] is None or report["imbalance"] >= UNEVEN:
        how = "some class has no labelled image" if report["imbalance"] is None else f"{report['imbalance']:.1f} to 1"
        table.add_row("largest class to smallest", how)
    return table


def _class_table(classes: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title=f"{len(classes)} classes", title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("class", "training", "labelled of these", "validation of these", "test"):
        table.add_column(name, justify="left" if name == "class" else "right", overflow="fold")
    for row in classes[:MANY]:
        table.add_row(Text(row["name"]), *(str(row[part]) for part in ("training", "labeled", "val", "test")))
    if len(classes) > MANY:
        table.add_row(f"and {len(classes) - MANY} more: --json lists all")
    return table


def _list(title: str, lines: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(overflow="fold")
    for line in lines[:MOST]:
        table.add_row(Text(line))
    if len(lines) > MOST:
        table.add_row(f"and {len(lines) - MOST} more; --json lists all")
    return table
