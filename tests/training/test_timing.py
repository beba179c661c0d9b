"""Times of steps are measured once for a kind of work on a machine, and said to be of before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.record.stages import stages
from sslkit.terminal.tables import plan_table
from sslkit.training import timing
from sslkit.training.timing import Seconds, step_seconds
from tests.algorithms.make import SMALL


def timed(kept: Path | None, **changes: Any) -> dict[str, Seconds]:
    prepared = prepare(SMALL | {"algo": "fixmatch"} | {k.replace("__", "."): v for k, v in changes.items()})
    specs = [stage.spec for stage in stages(prepared, Machine("cpu", "fp32", 1))]
    return step_seconds(specs, prepared.images, prepared.split, kept)


def test_a_kind_of_work_is_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(timing, "_time", lambda spec, *_: made.append(spec.stage) or Seconds(len(made), 0.25))  # type: ignore[func-returns-value]
    first = timed(tmp_path)
    count = len(made)
    assert count > 1
    assert not any(each.before for each in first.values())
    again = timed(tmp_path, seed=9, semi__steps=7)  # neither changes what a step is
    assert len(made) == count
    assert [(each.step, each.before) for each in again.values()] == [(each.step, True) for each in first.values()]
    for change in ({"semi__batch": 8}, {"data__size": 12}, {"algo": "flexmatch"}, {"views__strong": "usb"}):
        before = len(made)
        timed(tmp_path, **change)
        assert len(made) > before, change
        count = len(made)
    monkeypatch.setattr(timing, "description", lambda: {"processor": "another"})
    timed(tmp_path)
    assert len(made) > count
    count = len(made)
    timed(None)
    assert len(made) > count


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"a": 3}', '{"a": ["x", 1]}', "null"])
def test_a_damaged_file_is_measured_anew(content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "_time", lambda *_: Seconds(1.0, 0.5))
    timed(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(content)
    assert not any(each.before for each in timed(tmp_path).values())
    assert all(each.before for each in timed(tmp_path).values())


def test_the_plan_says_so() -> None:
    prepared = prepare(SMALL | {"algo": "fixmatch"})
    stage = stages(prepared, Machine("cpu", "fp32", 1))[-1]
    for before in (False, True):
        caption = plan_table([("semi", stage.spec, Seconds(1.0, 0.5, before))]).caption
        assert caption == ("times of steps are those that an earlier run measured here" if before else None)
