"""What one look at every image tells: that it can be read, and what tells images with equal or like pixels.

Kept in the store, by path, size and time of change, else by content.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from sslkit.data import Raw
from sslkit.data.image import Array
from sslkit.data.near import THUMB, perceptual_hash, thumb
from sslkit.data.stored import identity
from sslkit.data.threads import in_threads
from sslkit.errors import UserError
from sslkit.store.files import replacing
from sslkit.version import __version__

# Of one image: what tells its source from others, 0 of a file that is gone; what equal pixels share; as `near` has it.
SIGHT = np.dtype([("mark", "u8", 2), ("pixels", "u8", 2), ("hash", "u8"), ("thumb", "u1", (THUMB, THUMB))])


def sight(rgb: Image.Image) -> Array:
    """() `SIGHT` of an image, without its mark."""
    grey = rgb.convert("L")
    found = np.zeros((), SIGHT)
    digest = hashlib.sha256(f"{rgb.size}".encode() + rgb.tobytes()).digest()
    found["pixels"] = np.frombuffer(digest[:16], np.uint64)
    found["hash"], found["thumb"] = perceptual_hash(grey), thumb(grey)
    return found


def marks(raw: Raw) -> Array:
    """(N, 2) uint64 that tell images apart, half of the `identity` of each; 0 where the file is gone."""

    def mark(i: int) -> bytes:
        try:
            return identity(raw.source(i))[:16]
        except UserError:
            return bytes(16)

    joined = b"".join(in_threads(mark, range(len(raw.images))))
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


class Seen:
    """`SIGHT`s of images that could be read, in a file of 296 bytes an image.

    Args:
        cache: folder of the file; None keeps nothing.
        how: they are read, where it is not as usual: another reader may refuse what one took.
    """

    def __init__(self, cache: Path | None, how: str = "") -> None:
        other = f"-{hashlib.sha256(how.encode()).hexdigest()[:8]}" if how else ""
        self.path = cache / f"seen-{__version__}{other}.npy" if cache else None
        self.sights = np.empty(0, SIGHT)
        if self.path:
            with contextlib.suppress(OSError, ValueError, EOFError):  # not there, or damaged
                found = np.load(self.path)
                if found.dtype == SIGHT and found.ndim == 1:
                    self.sights = found

    def known(self, marks: Array) -> tuple[Array, Array]:
        """(N,) bool, which of the images were read before, and (N,) `SIGHT`, 0 of the others."""
        found = np.zeros(len(marks), SIGHT)
        if not len(self.sights):
            return np.zeros(len(marks), bool), found
        at = np.searchsorted(self.sights["mark"][:, 0], marks[:, 0]).clip(max=len(self.sights) - 1)
        known: Array = (self.sights["mark"][at] == marks).all(1)
        found[known] = self.sights[at[known]]
        return known, found

    def add(self, sights: Array) -> None:
        """Keep those of images that were read now; a full disk keeps none."""
        sights = sights[sights["mark"].any(1)]
        if self.path is None or not len(sights):
            return
        every = np.concatenate([self.sights, sights])
        self.sights = every[np.unique(every["mark"][:, 0], return_index=True)[1]]
        with contextlib.suppress(OSError, UserError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                np.save(file, self.sights)
