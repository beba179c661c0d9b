"""Which run is next, and on which GPU."""

from __future__ import annotations

from pathlib import Path

from sslkit.harness.plan.survey import Planned
from sslkit.harness.work.execute import Task, free, gpu_of
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
