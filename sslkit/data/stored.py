"""The images of a data set as they are stored: what each is opened from, and what tells it from others."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sslkit.data import formats
from sslkit.data.image import PLAIN, Array, Square, Tone, read_rgb, to_pixels
from sslkit.errors import UserError
from sslkit.store import anywhere
from sslkit.store.drives import tried_again
from sslkit.version import __version__


@dataclass(frozen=True)
class Stored:
    """N images, and the square that is made of each."""

    source: Callable[[int], Any]  # what image i is opened from: an array, bytes, or the path of a file
    names: Sequence[str]  # (N,) for the messages
    square: Square

    def __len__(self) -> int:
        return len(self.names)

    @property
    def nbytes(self) -> int:
        """Of all squares, decoded."""
        return len(self) * 3 * self.square.size**2

    def rgb(self, i: int) -> Image.Image:
        """Image i, whole; as `read_rgb`."""
        return read_rgb(self.source(i), self.names[i], self.square.tone)

    def pixels(self, i: int) -> Array:
        """The square of image i, (3, size, size) uint8; as `to_pixels`."""
        return to_pixels(self.source(i), self.square, self.names[i])

    def digest(self) -> hashlib._Hash:
        """Of the square, of readers that were added, and of what tells every image apart, without decoding any.

        Raises:
            UserError: a file is gone.
        """
        square = self.square
        how = "" if square.interpolation == "bicubic" else f" {square.interpolation}"
        digest = hashlib.sha256(f"{__version__} {square.size} {square.crop}{how}{reading(square.tone)}".encode())
        for i in range(len(self)):
            digest.update(identity(self.source(i)))
        return digest


def reading(tone: Tone) -> str:
    """How levels are read, and by which readers that were added; "" where all is as ever."""
    return "".join(f" {one}" for one in [*([] if tone == PLAIN else [str(tone)]), *formats.added()])


def identity(source: Any) -> bytes:
    """32 bytes that tell an image from another: of its content, of a file by path, size and time of change or version.

    Raises:
        UserError: the file is gone.
    """
    in_memory = isinstance(source, bytes) or not isinstance(source, str | os.PathLike)
    return hashlib.sha256(source if in_memory else _of_file(source)).digest()


@tried_again
def _of_file(path: str | os.PathLike[str]) -> bytes:
    try:
        return anywhere.mark(path).encode(errors="surrogateescape")
    except OSError as error:
        raise UserError(f"no image file {anywhere.shown(path)}: {error.strerror}") from None
