"""Data: what a data set must give, and what it becomes: one array of uint8 images.

A data set is one short file: a subclass of `Dataset` with a `read` method.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TEST = ("test", "val", "valid", "validation")  # what a test part may be called; the first that is there is the one


@dataclass(frozen=True)
class Raw:
    """Images as they are stored, with labels. Ten million files are ten million names: no object but a text each."""

    images: Sequence[Any]  # uint8 arrays (H, W) or (H, W, 3), encoded files as bytes, or paths of files below `root`
    label: Array  # (N,) int64, -1 where there is none
    names: Sequence[str] = ()  # where an image came from; default: its path, else its part and number
    root: str | Path = ""

    def source(self, i: int) -> Any:
        """What image i is opened from: an array, bytes, or the path of a file."""
        image = self.images[i]
        return os.path.join(self.root, image) if isinstance(image, str | os.PathLike) else image

    def name(self, i: int, part: str) -> str:
        """The name of image i of this part."""
        if len(self.names):
            return self.names[i]
        image = self.images[i]
        return str(image) if isinstance(image, str | os.PathLike) else f"{part} image {i}"


class Dataset(ABC):
    """A part of kind "dataset", made as `Data(**options)`; `argument` names the option that follows the colon.

    Options called `dir` and `download` are the keys `data.dir` (a text) and `data.download` (true or false).
    What may be done to the images is declared here, and no view does otherwise.
    """

    argument: ClassVar[str | None] = None
    flip: ClassVar[bool] = True  # a mirror image keeps its label
    mean: ClassVar[tuple[float, float, float]] = IMAGENET_MEAN
    std: ClassVar[tuple[float, float, float]] = IMAGENET_STD
    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys that suit this data

    @abstractmethod
    def read(self) -> tuple[list[str], Raw, Raw]:
        """Class names, training part, test part.

        Raises:
            UserError: the data is not there or not as it should be.
        """


@dataclass(frozen=True)
class Images:
    """A decoded data set: training part first, then the test part."""

    pixels: Array  # (N, 3, S, S) uint8
    label: Array  # (N,) int64, -1 where there is none
    train: int  # images of the training part
    classes: list[str]
    fingerprint: str  # sha256 of pixels, labels and class names
    names: Sequence[str]  # (N,)

    @property
    def size(self) -> int:
        return int(self.pixels.shape[2])
