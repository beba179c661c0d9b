"""Work on many images: its values in order, and what is told of it while it goes on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from rich.console import Console

from sslkit.data.threads import Advance, in_threads, watched
from sslkit.terminal import progress


def test_who_watches_is_told_of_every_image_and_of_nothing_unnamed() -> None:
    told: list[tuple[str, int, list[int]]] = []

    @contextmanager
    def watch(what: str, total: int) -> Iterator[Advance]:
        told.append((what, total, []))
        yield told[-1][2].append

    with watched(watch):
        assert in_threads(lambda i: i * i, range(200), "squares") == [i * i for i in range(200)]
        assert in_threads(str, [3]) == ["3"]
        assert in_threads(str, [], "nothing") == []
    in_threads(str, range(3), "later")
    assert [(what, total, sum(more)) for what, total, more in told] == [("squares", 200, 200)]


@pytest.mark.parametrize("long", [0, 1e9])
def test_a_long_one_leaves_a_line_with_its_rate(long: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LONG", long)
    out = io.StringIO()
    with progress.counting("images are read", 1000, Console(file=out, width=200)) as advance:
        advance(1000)
    said = out.getvalue().strip()
    assert said.startswith("images are read: 1,000, ") == (long == 0)
    assert said.endswith(" a second") == (long == 0)
