"""Classes that only the pool has, for experiments: those that are named, or the last ones, have no label to learn from.

Source: the open-set protocol of Saito et al. 2021, OpenMatch, arXiv:2105.14148, section 5; there CIFAR-10's six animals
are known and its four vehicles are not.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sslkit.config import Data
from sslkit.data import UNKNOWN, Images
from sslkit.data.image import Array
from sslkit.data.parts import Parts
from sslkit.errors import UserError, listed, unknown


def unknown_classes(text: str, classes: list[str]) -> list[str]:
    """The classes that `data.open_set` means.

    Args:
        text: a number K, the last K ones; else names, with commas between.

    Raises:
        UserError: there is no such class, or fewer than two are left.
    """
    if text.strip().isdecimal():
        found = classes[len(classes) - min(int(text), len(classes)) :]
    else:
        found = [name.strip() for name in text.split(",") if name.strip()]
        for name in found:
            if name not in classes:
                raise unknown("class", name, classes)
    if len(classes) - len({*found}) < 2:
        raise UserError(f"data.open_set={text} leaves fewer than two of the {len(classes)} classes to learn")
    return found


def opened(parts: Parts, data: Data) -> Parts:
    """With known classes alone, renumbered in their order; images of the others have the label `UNKNOWN`."""
    if not data.open_set:
        return parts
    gone = {*unknown_classes(data.open_set, parts.classes)}
    kept = [name for name in parts.classes if name not in gone]
    # the last entry is found by the label -1
    number = np.array([kept.index(name) if name in kept else UNKNOWN for name in parts.classes] + [-1])
    train, test = (replace(raw, label=number[raw.label]) for raw in (parts.train, parts.test))
    named = listed([repr(name) for name in parts.classes if name in gone], 10)
    return replace(parts, classes=kept, train=train, test=test).said(
        f"no label is of {named} (data.open_set={data.open_set}): {_count(train.label)} such training images are not "
        f"labelled, and {_count(test.label)} of the test stand apart; accuracy is over the other {len(kept)} classes"
    )


def unlabelled_classes(images: Images, labeled: Array) -> list[str]:
    """That no image of a class is among the labelled ones, though the training part has some: it cannot be learned."""
    there, shown = ({*np.unique(images.label[some]).tolist()} for some in (slice(images.train), labeled))
    lost = [repr(images.classes[c]) for c in sorted(there - shown - {-1, UNKNOWN})]
    if not lost or not shown:
        return []
    classes = f"class {lost[0]}" if len(lost) == 1 else f"the classes {listed(lost)}"
    said = f"no image of {classes} is labelled, so none will be predicted as such: label one, or leave the class out"
    return [f"{said}; --open-set takes such classes for unknown"]


def _count(label: Array) -> int:
    return int((label == UNKNOWN).sum())
