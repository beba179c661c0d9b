"""Training part and test part, as they are before anything is decoded: labels of a file, a test set aside, groups."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.config import Data
from sslkit.config.data import SHARE
from sslkit.data import Raw
from sslkit.data.columns import NOBODY, Columns
from sslkit.data.duplicates import equal_images, several_labels
from sslkit.data.held_out import by_name, groups_of, hold_out, numbered
from sslkit.data.image import Array
from sslkit.data.label_files import first, take_labels
from sslkit.errors import UserError

FEW = 20  # classes whose counts are said one by one


@dataclass(frozen=True)
class Parts:
    """What a data set gave, and what became of it."""

    classes: list[str]
    train: Raw
    test: Raw
    remarks: list[str] = field(default_factory=list)  # said before training
    stored: dict[str, Any] = field(default_factory=dict)  # kept with the run, in data.json
    unread: tuple[str, ...] = ()  # names of images that were left out because they cannot be read
    whole: bool = True  # no image was taken out of the training part, so positions in it still hold

    def said(self, *sentences: str, **stored: Any) -> Parts:
        return replace(self, remarks=[*self.remarks, *filter(None, sentences)], stored=self.stored | stored)

    @property
    def names(self) -> list[str]:
        """Of all images, those of the training part first."""
        return [*self.train.all_names("train"), *self.test.all_names("test")]

    def without(self, train: Sequence[int], test: Sequence[int]) -> Parts:
        """All but the images with these numbers in their part."""
        left = [
            np.setdiff1d(np.arange(len(raw.images)), gone) for raw, gone in ((self.train, train), (self.test, test))
        ]
        parts = self.train.take(left[0], "train"), self.test.take(left[1], "test")
        return replace(self, train=parts[0], test=parts[1], whole=self.whole and not len(train))

    def without_bad(self, train: Mapping[int, str], test: Mapping[int, str]) -> Parts:
        """All but the images that cannot be read, of which the reasons are given by number.

        Raises:
            UserError: none is left in the training part.
        """
        reasons = [*train.values(), *test.values()]
        if not reasons:
            return self
        if len(train) == len(self.train.images):
            raise UserError(f"none of the {len(train)} training images can be read: {reasons[0]}")
        said = f"{len(reasons)} of {len(self.names)} images cannot be read and are left out: {first(reasons)}"
        names = [*(self.train.name(i, "train") for i in train), *(self.test.name(i, "test") for i in test)]
        return replace(self.without([*train], [*test]), unread=(*names,)).said(said, bad_images=reasons)


def arrange(parts: Parts, data: Data) -> Parts:
    """The parts with the labels of `data.labels`, with groups, and with a test part.

    A share of the training part is set aside as the test where there is none with labels: of the images that the data
    set has a label for; where it has none, of those that the file of labels names.

    Raises:
        UserError: there are no labels, or too few for a test part; positions are listed of parts that have changed.
    """
    parts = _grouped(parts, data.groups) if data.groups else parts
    labelled = _labelled(parts, data)
    if not _measures(labelled):
        known, share = (parts.train.label >= 0).any(), SHARE if isinstance(data.test, str) else data.test
        labelled = _labelled(_set_aside(parts, share), data) if known else _set_aside(labelled, share)
    return _unlisted(labelled, data)


def _labelled(parts: Parts, data: Data) -> Parts:
    asked = Columns(data.image, data.label) if data.labels.startswith("file:") else NOBODY
    classes, train, test, said = take_labels(data.labels, parts.classes, parts.train, parts.test, parts.unread, asked)
    return replace(parts, classes=classes, train=train, test=test).said(*said)


def _measures(parts: Parts) -> bool:
    """Whether the test part has a label."""
    return bool((parts.test.label >= 0).any())


def _unlisted(parts: Parts, data: Data) -> Parts:
    if not parts.whole and "index" in (data.labels.partition(":")[0], data.pool.partition(":")[0]):
        raise UserError(
            "index:FILE.csv counts positions in the training part as it was read, and images have been taken out of "
            "it; use file:FILE.csv, which names images"
        )
    return parts


def without_equal(parts: Parts, data: Data, cache: Path | None) -> Parts:
    """Say which training images are byte for byte in the test part, too; "drop" takes them out of training.

    Args:
        cache: folder where it is kept for the next time.
    """
    equal = equal_images(parts.train, parts.test, cache)
    if not equal:
        return parts
    drop = data.duplicates == "drop"
    pairs = [(parts.train.name(e.train, "train"), parts.test.name(e.test, "test")) for e in equal]
    gone = [e.train for e in equal]
    what = "left out of training" if drop else "kept in training nevertheless (--remove-duplicates leaves them out)"
    some = ", ".join(f"{a} = {b}" for a, b in pairs[:3]) + (", …" if len(pairs) > 3 else "")
    parts = parts.said(
        f"exact duplicates of test images among {len(parts.train.images)} training images: {len(gone)}, {what}: {some}"
    )
    parts = parts.said(byte_equal=pairs)
    return _unlisted(parts.without(gone, []), data) if drop else parts


def contradicted(parts: Parts, cache: Path | None) -> Parts:
    """Say which images are in the training part under several labels.

    Args:
        cache: folder where it is kept for the next time.
    """
    groups = several_labels(parts.train, cache)
    if not groups:
        return parts
    raw, classes = parts.train, parts.classes
    told = [
        " = ".join(f"{raw.name(i, 'train')} ({classes[raw.label[i]]})" for i in group if raw.label[i] >= 0)
        for group in groups
    ]
    some = "; ".join(told[:3]) + ("; …" if len(told) > 3 else "")
    return parts.said(f"the same image under several labels, {len(groups)} times: {some}", contradicted=told)


def about(parts: Parts, own: bool) -> list[str]:
    """What is said of the parts: classes without a test image, shared groups, and of the user's own data its counts,
    and the classes that nothing is learned of or that are called nearly the same."""
    mine = [_counts(parts), _never(parts), _alike(parts.classes)] if own else []
    return list(filter(None, [*mine, _lacking(parts), _shared(parts)]))


def _grouped(parts: Parts, pattern: str) -> Parts:
    groups, said = groups_of(pattern, parts.names)
    n = len(parts.train.images)
    train, test = replace(parts.train, groups=groups[:n]), replace(parts.test, groups=groups[n:])
    return replace(parts, train=train, test=test).said(said)


def _set_aside(parts: Parts, share: float) -> Parts:
    """With a share of the labelled images as the test part, in the place of the one without a label."""
    train, spare = parts.train, len(parts.test.images)
    if not (train.learned >= 0).any():
        raise UserError("no image has a label; add --labels file:FILE.csv with the columns path and label")
    group, groups = numbered(train.groups if len(train.groups) else train.all_names("train"))
    chosen = hold_out(train.learned, group, share, by_name(groups))
    if not chosen.any():
        what = "a group of images" if len(train.groups) else "an image"
        raise UserError(f"there is no test part, and no class has {what} to spare for one; add labelled images")
    test = train.take(np.flatnonzero(chosen), "train")
    measured = test.label[test.label >= 0]
    kind = f", by {len({*test.groups})} of {len(groups)} groups" if len(train.groups) else ""
    said = (
        f"no test part with labels: {len(measured)} of {int((train.learned >= 0).sum())} labelled images are set aside "
        f"as one{kind}, the same ones for every seed (data.test={share:g})"
    )
    left = f"{spare} test images without a label are not used; classify them with sslkit predict" if spare else ""
    parts = replace(parts, train=train.take(np.flatnonzero(~chosen), "train"), test=test, whole=False)
    return parts.said(left, said, set_aside=test.all_names("test"))


def _counts(parts: Parts) -> str:
    """How many images each class has in each part."""
    train, test = (
        np.bincount(label[label >= 0], minlength=len(parts.classes))
        for label in (parts.train.learned, parts.test.label)
    )
    held = int(np.sum(parts.train.val))
    bare = int((parts.train.learned < 0).sum()) - held
    if len(parts.classes) <= FEW:
        each = ", ".join(f"{name} {a} + {b}" for name, a, b in zip(parts.classes, train, test, strict=True))
    else:
        each = f"{_range(train)} + {_range(test)} images a class"
    return f"images with a label, training + test: {each}; training images without a label: {bare}" + (
        f"; validation images: {held}" if held else ""
    )


def _range(counts: Array) -> str:
    return f"{counts.min()} to {counts.max()}"


def _lacking(parts: Parts) -> str:
    """The classes that the test part has no image of."""
    return _missing(parts.classes, parts.test.label, "have no test image and enter no score")


def _never(parts: Parts) -> str:
    """The classes that the training part has no label of."""
    what = "have no labelled image to learn from and will not be predicted"
    return _missing(parts.classes, parts.train.learned, what)


def _missing(classes: Sequence[str], label: Array, what: str) -> str:
    """The classes that are not among the labels, and what follows from that; nothing where all are."""
    there = {*label.tolist()}
    missing = [name for c, name in enumerate(classes) if c not in there]
    return f"{len(missing)} of {len(classes)} classes {what}: {first(missing)}" if missing else ""


def _alike(classes: Sequence[str]) -> str:
    """Classes whose names differ in case, spaces and the like alone: one of them is often a slip."""
    called: dict[str, list[str]] = {}
    for name in classes:
        plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold()) or name
        called.setdefault(plain, []).append(name)
    pairs = [" and ".join(map(repr, names)) for names in called.values() if len(names) > 1]
    return f"classes are called nearly the same, {', '.join(pairs[:3])}; are they one?" if pairs else ""


def _shared(parts: Parts) -> str:
    """Groups that a given test part has in common with the training part."""
    both = sorted({*parts.train.groups} & {*parts.test.groups})
    return f"groups with images in training and in test: {len(both)}, as {first(both)}" if both else ""
