"""Which images are known to be readable: kept in the store, by path, size and time of change, else by content."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

import numpy as np

from sslkit.data import Raw
from sslkit.data.image import Array
from sslkit.data.stored import identity
from sslkit.data.threads import in_threads
from sslkit.errors import UserError
from sslkit.store.files import replacing
from sslkit.store.version import __version__


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
    """Marks of images that could be read, in a file of 16 bytes an image.

    Args:
        cache: folder of the file; None keeps nothing.
        how: they are read, where it is not as usual: another reader may refuse what one took.
    """

    def __init__(self, cache: Path | None, how: str = "") -> None:
        other = f"-{hashlib.sha256(how.encode()).hexdigest()[:8]}" if how else ""
        self.path = cache / f"readable-{__version__}{other}.npy" if cache else None
        self.marks = np.empty((0, 2), np.uint64)
        if self.path:
            with contextlib.suppress(OSError, ValueError, EOFError):  # not there, or damaged
                found = np.load(self.path)
                if found.dtype == np.uint64 and found.ndim == 2 and found.shape[1] == 2:
                    self.marks = found

    def known(self, marks: Array) -> Array:
        """(N,) bool, which of the images were read before."""
        if not len(self.marks):
            return np.zeros(len(marks), bool)
        at = np.searchsorted(self.marks[:, 0], marks[:, 0]).clip(max=len(self.marks) - 1)
        known: Array = (self.marks[at] == marks).all(1)
        return known

    def add(self, marks: Array) -> None:
        """Keep the marks of images that were read now; a full disk keeps none."""
        marks = marks[marks.any(1)]
        if self.path is None or not len(marks):
            return
        every = np.concatenate([self.marks, marks])
        self.marks = every[np.unique(every[:, 0], return_index=True)[1]]
        with contextlib.suppress(OSError, UserError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary, temporary.open("wb") as file:
                np.save(file, self.marks)
