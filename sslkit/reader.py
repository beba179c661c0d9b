"""Readers of image formats: what turns a file into pixels, at the depth that it has.

A reader is a part of kind "reader"; docs/plugins.md has one that runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import numpy as np
from PIL import Image

Array = np.ndarray[Any, Any]
LIMIT = 89_478_485  # pixels of one image, Pillow's own limit for a decompression bomb


class TooLargeError(Exception):
    """An image has more pixels than `LIMIT`."""


def check_size(width: int, height: int) -> None:
    """To be called before an image is decoded: raise a TooLargeError where it has more pixels than `LIMIT`."""
    if width * height > LIMIT:
        raise TooLargeError


@dataclass(frozen=True)
class Levels:
    """An image that 8 bits of grey or RGB cannot hold, upright.

    Args:
        bands: (H, W, n) of any integers or floats; 0 is black.
        white: the level of white by the depth of the file; None where it does not say, as of floats, for which it is 1.
        alpha: (H, W) floats from 0, transparent, to 1; None where all is opaque.
        form: name of the format.
        multiplied: the bands have been multiplied by `alpha`.
    """

    bands: Array
    white: float | None
    alpha: Array | None = None
    form: str = ""
    multiplied: bool = False

    @property
    def mode(self) -> str:
        """What is said of its kind: bands and depth."""
        count = self.bands.shape[2]
        return f"{ {1: 'grey', 3: 'RGB'}.get(count, f'{count} bands') } {self.bands.dtype}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.bands.shape[1], self.bands.shape[0]


class Reader(ABC):
    """A part of kind "reader", made as `Reader()`.

    A reader of a plug-in or of an installed package has its suffixes before those in the box. Else a file is read by
    the reader that knows its first bytes, whatever it is called, and then by that of its suffix.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()  # in small letters, with the dot
    module: ClassVar[str] = ""  # that it needs and that may not be there; without it, it reads nothing
    extra: ClassVar[str] = ""  # of sslkit that brings this module

    def knows(self, head: bytes) -> bool:
        """Whether a file that begins with these bytes, 512 where it has as many, is of this format."""
        return False

    @abstractmethod
    def read(self, file: BinaryIO) -> Image.Image | Levels:
        """The first or only image of a file, which is open at its beginning and is closed by the caller.

        An image of Pillow's, of 8 bits a band, is turned by its EXIF, laid on white where it is transparent, and
        converted to RGB by the caller. Whatever is raised is said in one line with the name of the file.
        """

    def size(self, file: BinaryIO) -> tuple[int, int]:
        """Width and height; to be overridden where they can be had without decoding."""
        return self.read(file).size


def upright(pixels: Array, orientation: int) -> Array:
    """Pixels (H, W, …) turned as EXIF's orientation, 1 to 8, says."""
    flipped = pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return flipped[::rows, ::columns]
