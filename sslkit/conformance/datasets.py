"""What every data set keeps. Those that need files are read where these are named: `folder:DIR`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sslkit.config.resolve import argument
from sslkit.conformance import Check, Skipped, expect
from sslkit.data import Dataset, Raw
from sslkit.data.duplicates import content
from sslkit.data.image import BadImageError, read_rgb
from sslkit.errors import UserError

SOME = 20  # images of a part that are decoded


class Made:
    """The checks of one data set, which is read once for all but one of them."""

    def __init__(self, cls: type[Dataset], name: str) -> None:
        self.cls, self.name = cls, name
        self._read: tuple[list[str], Raw, Raw] | None = None

    def again(self) -> tuple[list[str], Raw, Raw]:
        try:
            return self.cls(**argument("dataset", self.name, self.cls)).read()
        except (UserError, TypeError) as error:
            raise Skipped(f"it cannot be read here: {error}") from None

    @property
    def read(self) -> tuple[list[str], Raw, Raw]:
        self._read = self._read or self.again()
        return self._read

    def parts(self) -> list[tuple[str, Raw]]:
        return [("train", self.read[1]), ("test", self.read[2])]

    def has_classes(self, _: Any) -> None:
        """It has two classes or more, each of a name of its own."""
        classes = self.read[0]
        expect(len(classes) > 1, f"it has {len(classes)} classes")
        expect(all(isinstance(name, str) and name for name in classes), "a class has no name")
        expect(len({*classes}) == len(classes), "two classes have one name")

    def has_labels(self, _: Any) -> None:
        """Every image has a label, a class's number, or -1 where there is none; names and groups are as many."""
        for part, raw in self.parts():
            label = np.asarray(raw.label)
            expect(label.dtype.kind == "i", f"labels of the {part} part are {label.dtype}")
            expect(len(label) == len(raw.images), f"{len(raw.images)} {part} images have {len(label)} labels")
            if len(label):
                low, high = label.min(), label.max()
                expect(low >= -1 and high < len(self.read[0]), f"labels of the {part} part go from {low} to {high}")
            for what in ("names", "groups"):
                given = getattr(raw, what)
                expect(len(given) in (0, len(label)), f"{len(label)} {part} images have {len(given)} {what}")

    def learns_something(self, _: Any) -> None:
        """The training part has images of every class, unless none of it has a label."""
        classes, train, _test = self.read
        there = {*np.unique(train.label).tolist()}
        lost = [name for c, name in enumerate(classes) if c not in there]
        expect(not lost or there == {-1}, f"the training part has no image of {lost[:1]}")

    def can_be_decoded(self, _: Any) -> None:
        """Images from all over each part can be decoded."""
        for part, raw in self.parts():
            for i in _some(raw):
                try:
                    read_rgb(raw.source(i), raw.name(i, part), raw.tone)
                except BadImageError as error:
                    expect(False, str(error))

    def is_the_same_twice(self, _: Any) -> None:
        """Read again it has the same classes, images, labels and names in the same order."""
        first, second = self.read, self.again()
        expect(first[0] == second[0], "the classes are others")
        for part, one, other in zip(("train", "test"), first[1:], second[1:], strict=True):
            expect(np.array_equal(one.label, other.label), f"the labels of the {part} part are others")
            expect(one.all_names(part) == other.all_names(part), f"the names of the {part} part are others")
            for i in _some(one):
                expect(content(one.source(i)) == content(other.source(i)), f"image {i} of the {part} part is another")


def _some(raw: Raw) -> list[int]:
    """Numbers of images from all over a part."""
    return sorted({*np.linspace(0, len(raw.images) - 1, SOME).astype(int).tolist()}) if len(raw.images) else []


def checks(cls: type[Dataset], name: str) -> Sequence[Check]:
    made = Made(cls, name)
    return made.has_classes, made.has_labels, made.learns_something, made.can_be_decoded, made.is_the_same_twice
