"""Training part and test part, as they are before anything is decoded: labels of a file, a test set aside, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.config import Data
from sslkit.config.data import NO_TEST, SHARE
from sslkit.data import Raw, is_own
from sslkit.data.columns import Columns
from sslkit.data.csv_files import class_order
from sslkit.data.duplicates import equal_images, several_labels
from sslkit.data.held_out import by_name, drawn_out, found_in, hold_out, numbered
from sslkit.data.image import Array
from sslkit.data.label_files import first, take_labels
from sslkit.errors import UserError, listed

FILE, FOLDERS = "file", "folders"  # where classes are from, beside a regular expression


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


def arrange(parts: Parts, data: Data, *, bare: bool = False) -> Parts:
    """The parts with the labels of `data.labels`, with groups, and with a test part.

    A share of the training part is set aside as the test where there is none with labels: of the images that the data
    set has a label for; where it has none, of those that the file of labels names. With `data.test` none there is none.

    Args:
        bare: nothing is learned of labels or measured by them; where they are not of two classes, all images are only
            looked at.

    Raises:
        UserError: there are no labels, or too few for a test part; positions are listed of parts that have changed.
    """
    parts = _grouped(parts, data.groups) if data.groups else parts
    parts = _classed(parts, data)
    labelled = _labelled(parts, data)
    if bare and not _measures(labelled) and _all_differ(labelled.train.learned):  # as captions do: none for a test
        train = replace(labelled.train, label=np.full_like(labelled.train.label, -1))
        labelled = replace(labelled, classes=[], train=train)
    if bare and unlabelled(labelled.classes, labelled.train.learned):
        labelled = replace(labelled, classes=labelled.classes or ["unlabelled"])  # a head of none cannot be built
        return labelled.said("no labels of two classes, which pre-training does not need: nothing is measured")
    if data.test == NO_TEST:
        spare = len(labelled.test.images)
        left = f"; the {spare} test images that there are stay unused" if spare else ""
        labelled = labelled.without([], range(spare)).said(f"no test part (data.test=none): nothing is measured{left}")
    elif not _measures(labelled):
        known = (parts.train.label >= 0).any() and parts.classes == labelled.classes
        share = SHARE if isinstance(data.test, str) else data.test
        aside = partial(_set_aside, share=share, multilabel=data.multilabel)
        labelled = _labelled(aside(parts), data) if known else aside(labelled)
    return _unlisted(labelled, data)


def _classed(parts: Parts, data: Data) -> Parts:
    """With the classes that `data.classes` finds in the images' names; or without any, where a file has them.

    Raises:
        UserError: no name has one, or the test part has one that the training part has not; a file says labels, too.
    """
    by_file = data.labels.startswith("file:")
    if data.classes in ("", FOLDERS):
        return parts
    if (data.classes == FILE) != by_file:
        what = (
            f"{data.classes!r} and --labels {data.labels} both say them; drop one"
            if by_file
            else "needs --labels file:"
        )
        raise UserError(f"data.classes: {what}")
    names, n = parts.names, len(parts.train.images)
    found = [""] * len(names) if by_file else found_in("data.classes", data.classes, names)
    held = [False] * n if not len(parts.train.val) else list(parts.train.val)
    known = {name for name, val in zip(found[:n], held, strict=True) if not val} - {""}
    strange = sorted({*found} - {"", *known})
    if strange:
        part = "test part" if {*found[n:]} & {*strange} else "validation part"
        raise UserError(f"data.classes: classes of the {part} that no training image has: {listed(strange, 10)}")
    classes = class_order(known)
    place = {name: c for c, name in enumerate(classes)} | {"": -1}
    label = np.array([place[name] for name in found], np.int64)
    train, test = replace(parts.train, label=label[:n]), replace(parts.test, label=label[n:])
    parts = replace(parts, classes=classes, train=train, test=test)
    if by_file:
        return parts
    bare = found.count("")
    rest = f"; {bare} names without it have no label, as {names[found.index('')]!r}" if bare else ""
    return parts.said(
        f"data.classes: {len(classes)} classes in the names of {len(names)} images, {listed(classes, 8)}{rest}"
    )


def _labelled(parts: Parts, data: Data) -> Parts:
    kind, _, file = data.labels.partition(":")
    if kind != "file":
        return parts
    if data.multilabel:
        parts = _bare(parts)
    asked = Columns(data.image, data.label, multilabel=data.multilabel)
    own = is_own(data.name) and data.classes != FOLDERS
    classes, train, test, said = take_labels(file, parts.classes, parts.train, parts.test, parts.unread, asked, own=own)
    return replace(parts, classes=classes, train=train, test=test).said(*said)


def _bare(parts: Parts) -> Parts:
    """Without labels: those of a file take their place, as one class each is no set of labels."""
    train, test = (replace(raw, label=np.full_like(raw.label, -1)) for raw in (parts.train, parts.test))
    return replace(parts, classes=[], train=train, test=test)


def unlabelled(classes: Sequence[str], label: Array) -> bool:
    """Whether labels (N,) are of fewer than two of the classes, so that no classifier can be learned or judged."""
    return len(classes) < 2 or len(np.unique(label[label >= 0])) < 2


def _all_differ(label: Array) -> bool:
    """Whether there are labels (N,), and each stands at one image."""
    known = label[label >= 0]
    return 0 < len(known) == len(np.unique(known))


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


def _grouped(parts: Parts, pattern: str) -> Parts:
    names = parts.names
    found = found_in("data.groups", pattern, names)
    groups = [group or name for group, name in zip(found, names, strict=True)]
    n, bare = len(parts.train.images), found.count("")
    rest = f"; {bare} names without it stand alone" if bare else ""
    train, test = replace(parts.train, groups=groups[:n]), replace(parts.test, groups=groups[n:])
    return replace(parts, train=train, test=test).said(
        f"data.groups: {len({*groups})} groups among {len(names)} images, as {groups[0]!r}{rest}"
    )


def _set_aside(parts: Parts, share: float, *, multilabel: bool) -> Parts:
    """With a share of the labelled images as the test part, in the place of the one without a label."""
    train, spare = parts.train, len(parts.test.images)
    if not (train.learned >= 0).any():
        raise UserError("no image has a label; add --labels file:FILE.csv with the columns path and label")
    group, groups = numbered(train.groups if len(train.groups) else train.all_names("train"))
    held_out = drawn_out if multilabel else hold_out
    chosen = held_out(train.learned, group, share, by_name(groups))
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
