"""Which run is next, on which GPU, and how workers end."""

from __future__ import annotations

import multiprocessing
import signal
import time
from pathlib import Path

import pytest

from sslkit.harness.plan.survey import Planned
from sslkit.harness.work.execute import Task, end, free, gpu_of
from sslkit.store import Store


def test_workers_take_gpus_in_turn() -> None:
    assert [gpu_of(worker, 3) for worker in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_runs_that_share_a_stage_in_training_wait(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.prepare()
    planned = (Planned("a", "c", i, "f", {"finetune": f"k{i // 2}", "semi": f"s{i}"}) for i in range(3))
    first, second, third = (Task(run, {}, tmp_path, (), False) for run in planned)
    assert free([first, second, third], ()) is first
    assert free([second, third], {"k0"}) is third
    assert free([second], {"k0"}) is None
    with store.working("k1", lambda: None) as folder:
        assert folder is not None
        assert store.held("k1")
        assert free([third], ()) is None
        (folder / "result.json").write_text("{}")
    assert not store.held("k1")
    assert free([third], {"k1"}) is third, "a finished stage keeps nobody waiting"


@pytest.mark.parametrize(("saving", "grace"), [(False, 60.0), (True, 0.2)])
def test_a_worker_that_never_ends_is_killed(saving: bool, grace: float) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    worker.start()
    end([worker], lambda: saving, grace)
    worker.join()
    assert worker.exitcode == -signal.SIGKILL


def test_a_worker_that_saves_is_waited_for() -> None:
    worker = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0.3,))
    worker.start()
    end([worker], lambda: True, 60.0)
    worker.join()
    assert worker.exitcode == 0
