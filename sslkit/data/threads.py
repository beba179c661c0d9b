"""Many images at once: Pillow lets go of the interpreter while it decodes, and files are waited for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
BLOCK = 64  # images that a thread has at once


def in_threads(function: Callable[[int], T], numbers: Sequence[int]) -> list[T]:
    """The function's values in order; threads take a block of numbers each."""

    def some(start: int) -> list[T]:
        return [function(i) for i in numbers[start : start + BLOCK]]

    with ThreadPoolExecutor() as pool:
        return [value for block in pool.map(some, range(0, len(numbers), BLOCK)) for value in block]
