"""Death at exact points of the code that a clock seldom hits; nothing of the process runs after it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.small import assert_equal, small


class Dead(BaseException):
    """Stands for SIGKILL: no handler of the program catches it."""


def die(function: Callable[..., object], when: Callable[..., bool], *, after: bool = False) -> Callable[..., object]:
    """`function`, in which the process dies the first time that `when(arguments)` holds."""
    dead: list[bool] = []

    def dying(*args: object, **keys: object) -> object:
        now = not dead and when(*args)
        if not now:
            return function(*args, **keys)
        dead.append(True)
        if after:
            function(*args, **keys)
        raise Dead

    return dying


def into(name: str) -> Callable[..., bool]:
    return lambda source, target, *rest: name in Path(target).name


def gone(name: str) -> Callable[..., bool]:
    return lambda path, *rest, **keys: name in Path(path).name


POINTS = {
    "the first checkpoint is written but not in place": ("os.replace", into("checkpoint-000000010"), False),
    "a checkpoint is in place, an old one not yet removed": ("os.unlink", gone("checkpoint-000000010"), False),
    "the last checkpoint is in place": ("os.replace", into("checkpoint-000000022"), True),
    "predictions are written but not in place": ("os.replace", into("predictions.safetensors"), False),
    "the last weights are in place": ("os.replace", into("weights.safetensors"), True),
    "the checkpoints are removed, there is no result yet": ("os.replace", into("result.json"), False),
    "the result is in place, the stage is not published": ("os.rename", lambda *args: True, False),
    "a stage is published": ("os.rename", lambda *args: True, True),
    "the table is written but not in place": ("os.replace", into("results.json"), False),
    "the run's description is written but not in place": ("os.replace", into("run.json"), False),
}


OFTEN = {
    "the first checkpoint is written but not in place",
    "the checkpoints are removed, there is no result yet",
    "the result is in place, the stage is not published",
}


@pytest.mark.parametrize("point", [pytest.param(p, marks=() if p in OFTEN else pytest.mark.slow) for p in POINTS])
def test_death_at(point, root, quiet, monkeypatch):
    name, when, after = POINTS[point]
    with monkeypatch.context() as patch:
        patch.setattr("os.getpid", lambda: 1)  # the next process will have another number
        patch.setattr(name, die(getattr(os, name.removeprefix("os.")), when, after=after))
        with pytest.raises(Dead):
            small(root)
    assert small(root) == 0
    assert_equal(root, quiet)
