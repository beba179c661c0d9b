"""What was found out about files is kept for the next run, and where data sets keep it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from sslkit.errors import UserError
from sslkit.store.files import write_text

T = TypeVar("T")

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


def kept(path: Path | None, make: Callable[[], Any], read: Callable[[Any], T]) -> T:
    """What `read` gives of what `make` gives, as JSON has it, kept in a file; None keeps nothing."""
    if path:
        with suppress(OSError, ValueError, KeyError, TypeError):  # not there, or damaged
            return read(json.loads(path.read_text("utf-8")))
    text = json.dumps(make())
    if path:
        with suppress(OSError, UserError):  # no room: found out again the next time
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    return read(json.loads(text))
