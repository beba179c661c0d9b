"""Data: what a data set must give, and what it becomes: one array of uint8 images.

A data set is one short file: a subclass of `Dataset` with a `read` method.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from sslkit.data.given import Given
from sslkit.data.image import PLAIN, Array, Tone
from sslkit.data.on_demand import OnDemand, Pixels
from sslkit.store import anywhere

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TEST = ("test", "val", "valid", "validation")  # what a test part may be called; the first that is there is the one
UNKNOWN = -2  # the label of an image that is of no class of the labels


@dataclass(frozen=True)
class Raw:
    """Images as they are stored, with labels. Ten million files are ten million names: no object but a text each."""

    images: Sequence[Any] | Array  # uint8 (H, W) or (H, W, 3), encoded files as bytes, or paths below `root`, or URLs
    label: Array  # (N,) int64, -1 where there is none
    names: Sequence[str] = ()  # where an image came from; default: its path, else its part and number
    root: str | Path = ""
    groups: Sequence[str] = ()  # what an image shows, a patient say; parts of a split share none of them
    tone: Tone = PLAIN  # how their levels are read
    val: Sequence[bool] | Array = ()  # (N,) of a training part: which are its validation part, where it brings one

    @property
    def learned(self) -> Array:
        """(N,) int64 labels but for those of the validation part, which are -1."""
        return np.where(self.val, -1, self.label) if len(self.val) else self.label

    def source(self, i: int) -> Any:
        """What image i is opened from: an array, bytes, or the path of a file."""
        image = self.images[i]
        if isinstance(image, bytes):  # asked first: `PathLike` takes its time, and there are millions
            return image
        return anywhere.join(self.root, image) if isinstance(image, str | os.PathLike) else image

    @property
    def far(self) -> bool:
        """Whether the images lie on a server."""
        first = self.source(0) if len(self.images) else b""
        return isinstance(first, str) and anywhere.is_remote(first)

    def name(self, i: int, part: str) -> str:
        """The name of image i of this part."""
        if len(self.names):
            return self.names[i]
        image = self.images[i]
        return str(image) if isinstance(image, str | os.PathLike) else f"{part} image {i}"

    def all_names(self, part: str) -> list[str]:
        """The names of all images of this part."""
        return [self.name(i, part) for i in range(len(self.images))]

    def take(self, index: Array, part: str) -> Raw:
        """The images with the given numbers, under the names that they have in this part."""
        chosen = index.tolist()
        images = self.images[index] if isinstance(self.images, np.ndarray) else [self.images[i] for i in chosen]
        named = len(self.names) or not all(isinstance(image, str | os.PathLike) for image in images)
        names = [self.name(i, part) for i in chosen] if named else ()
        groups = [self.groups[i] for i in chosen] if len(self.groups) else ()
        val = np.asarray(self.val)[index] if len(self.val) else ()
        return Raw(images, self.label[index], names, self.root, groups, self.tone, val)


class Dataset(ABC):
    """A part of kind "dataset", made as `Data(**options)`; `argument` names the option that follows the colon.

    Options called `dir` and `download` are the keys `data.dir` (a text) and `data.download` (true or false); `image`,
    `label`, `split` and `group` are the names of a table's columns, `train`, `test`, `val` and `unlabeled` those of
    folders, and keys likewise.
    What may be done to the images is declared here, and no view does otherwise.
    """

    argument: ClassVar[str | None] = None
    flip: ClassVar[bool] = True  # a mirror image keeps its label
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys that suit this data
    remarks: Sequence[str] = ()  # how `read` understood the data; said before training

    @abstractmethod
    def read(self) -> tuple[list[str], Raw, Raw]:
        """Class names, training part, test part. Without class names, they are those of a file of labels; of a test
        part without labels or images, a share of the training part takes the place.

        Raises:
            UserError: the data is not there or not as it should be.
        """


def is_own(name: str) -> bool:
    """Whether a data set's name says where the user's own data is, as `folder:DIR`; else it is a published one."""
    return ":" in name


@dataclass(frozen=True)
class Images:
    """The images of a data set: training part first, then the test part."""

    pixels: Array | OnDemand  # (N, 3, S, S) uint8
    label: Array  # (N,) int64, -1 where there is none, `UNKNOWN` where it is of no class
    train: int  # images of the training part
    classes: list[str]
    fingerprint: str  # sha256 of pixels, labels and class names; on demand, of what tells files apart instead of pixels
    names: Sequence[str]  # (N,)
    tone: Tone = PLAIN  # how their levels were read
    sights: Array | None = None  # (N,) `data.seen.SIGHT`, where they are decoded on demand
    given: tuple[Given, ...] = ()  # what other networks predict for them
    sets: Array | None = None  # (K, C) int64 of images with several labels: classes of a set, of which `label` is one

    @property
    def targets(self) -> Array:
        """(N,) labels; of images with several (N, C), 1 for each class that one has, -1 where it has no labels."""
        if self.sets is None:
            return self.label
        return np.where(self.label[:, None] >= 0, self.sets[np.maximum(self.label, 0)], -1)

    @property
    def size(self) -> int:
        return int(self.pixels.shape[2])

    def named(self, index: Array) -> list[str]:
        """What these images are labelled as: a class, classes with commas between them, or "" where nobody knows."""
        if self.sets is None:
            return [self.classes[c] if c >= 0 else "" for c in self.label[index].tolist()]
        rows = self.targets[index] == 1
        return [", ".join(name for name, yes in zip(self.classes, row, strict=True) if yes) for row in rows]

    def counts(self, index: Array) -> list[int]:
        """(C,) of these images, which have labels, how many are of each class."""
        if self.sets is not None:
            return [int(n) for n in self.sets[self.label[index]].sum(0)]
        return [int(n) for n in np.bincount(self.label[index], minlength=len(self.classes))]

    def subset(self, index: Array) -> Pixels:
        """The images with the given numbers, on the host or on demand."""
        if isinstance(self.pixels, OnDemand):
            return self.pixels.subset(index)
        return torch.from_numpy(self.pixels[index])
