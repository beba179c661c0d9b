"""Where data sets keep what they found out about files, for the next run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


@contextmanager
def kept_in(folder: Path | None) -> Iterator[None]:
    """Within, data sets may keep files in a folder of the store; None is nowhere."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def kept_folder() -> Path | None:
    """The folder; it need not be there yet."""
    return _folder.get()
