"""Options of a part: its typed keyword parameters, and those that it passes on."""

from __future__ import annotations

from typing import Any

from sslkit.config.resolve import options


def test_options_that_are_passed_on_are_those_of_the_class_above() -> None:
    class Above:
        def __init__(self, setup: object, *, slot: object, tau: float = 0.5, n: int = 2) -> None: ...

    class Below(Above):
        slots = {"slot": "none"}

        def __init__(self, setup: object, *, n: int = 3, extra: bool = False, **others: Any) -> None:
            super().__init__(setup, n=n, **others)

    found = options(Below)
    assert {name: (p.annotation, p.default) for name, p in found.items()} == {
        "tau": (float, 0.5),
        "n": (int, 3),
        "extra": (bool, False),
    }
