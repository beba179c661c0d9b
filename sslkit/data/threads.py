"""Many images at once: Pillow lets go of the interpreter while it decodes, and files are waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
BLOCK = 64  # images that a thread has at once

Advance = Callable[[int], None]  # is told how many more are done
Watch = Callable[[str, int], AbstractContextManager[Advance]]  # of what is done, and how many there are


@contextmanager
def _unseen(what: str, total: int) -> Iterator[Advance]:
    yield lambda more: None


_watch: ContextVar[Watch] = ContextVar("watch", default=_unseen)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Within, `watch` is told how far work goes that looks at every image."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def watching(what: str, total: int) -> AbstractContextManager[Advance]:
    """While entered, who watches is told of what is done by a call for every image, or several, that are done."""
    return _watch.get()(what, total)


def in_threads(function: Callable[[int], T], numbers: Sequence[int], what: str = "") -> list[T]:
    """The function's values in order; threads take a block of numbers each.

    Args:
        what: is done, for who watches; nobody does without it.
    """

    def some(start: int) -> list[T]:
        return [function(i) for i in numbers[start : start + BLOCK]]

    found: list[T] = []
    watch = watching if what and len(numbers) else _unseen
    with watch(what, len(numbers)) as advance, ThreadPoolExecutor() as pool:
        for block in pool.map(some, range(0, len(numbers), BLOCK)):
            found += block
            advance(len(block))
    return found
