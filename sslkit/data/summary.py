"""What is said of the training and test part before anything is trained."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from sslkit.data import label_sets
from sslkit.data.image import Array
from sslkit.data.label_files import first
from sslkit.data.parts import Parts
from sslkit.errors import listed

FEW = 20  # classes whose counts are said one by one


def about(parts: Parts, own: bool, tested: bool = True, multilabel: bool = False) -> list[str]:
    """What is said of the parts: classes without a test image, shared groups, and of the user's own data its counts,
    and the classes that nothing is learned of or that are called nearly the same.

    Args:
        tested: there is a test part.
        multilabel: classes are sets of labels, of which it is said how many images have each label.
    """
    if multilabel:
        return _about_sets(parts, own, tested)
    if len(parts.classes) < 2:
        return [_shared(parts)] if _shared(parts) else []
    mine = [_counts(parts), _never(parts), _alike(parts.classes)] if own else []
    return list(filter(None, [*mine, _lacking(parts) if tested else "", _shared(parts)]))


def _about_sets(parts: Parts, own: bool, tested: bool) -> list[str]:
    classes = label_sets.named(parts.classes)
    has = label_sets.table(parts.classes, classes)
    train, test = (has[label[label >= 0]] for label in (parts.train.learned, parts.test.label))
    bare = len(parts.train.images) - len(train) - int(np.sum(parts.train.val))
    a, b = train.sum(0), test.sum(0)
    each = [f"{name} {n} + {m}" for name, n, m in zip(classes, a, b, strict=True)]
    counts = ", ".join(each) if len(classes) <= FEW else f"{_range(a)} + {_range(b)} images a label"
    none = f"no label applies to {int((~train.any(1)).sum())} + {int((~test.any(1)).sum())}"
    said = [f"images with labels, training {len(train)} + test {len(test)}: {counts}; {none}; without labels: {bare}"]
    lacking = [name for name, n in zip(classes, b.tolist(), strict=True) if not n] if tested else []
    said = said if own else []
    return said + ([f"labels that no test image has, which enter no score: {listed(lacking, FEW)}"] if lacking else [])


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
