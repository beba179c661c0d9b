"""Memory that a step has freed is kept for the next one.

A training step takes and frees hundreds of megabytes. By itself glibc gives them back to the system, blocks above 32 MB
one by one and the rest from the end of its heap, and the system fills them with zeros when they are taken again, page
by page: that took up to a tenth of a step, and a fifth of making views of large images.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

TRIM, MMAP = -1, -3  # of mallopt: how much is free at the end before it goes back, and which blocks are mapped
KEPT = {TRIM: -1, MMAP: 1 << 30}  # never, and those of a gigabyte
USUAL = {TRIM: 1 << 26, MMAP: 1 << 25}  # what glibc comes to by itself
OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")


@contextmanager
def keeping(device: str) -> Iterator[None]:
    """Within, a process that computes on a "cpu" keeps what it frees; after it, what is free goes back.

    Nothing happens where the C library is not glibc, or where one of its variables in the environment says otherwise.
    """
    library = ctypes.CDLL(None) if device == "cpu" and sys.platform == "linux" else None
    if not hasattr(library, "mallopt") or any(name in os.environ for name in OWN):
        yield
        return
    assert library is not None
    library.malloc_trim(0)
    _set(library, KEPT)
    try:
        yield
    finally:
        _set(library, USUAL)
        library.malloc_trim(0)


def _set(library: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        library.mallopt(option, value)
