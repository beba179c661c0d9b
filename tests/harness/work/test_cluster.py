"""Jobs by submitit, on its executors for this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sslkit.errors import UserError
from sslkit.harness import load
from sslkit.harness.plan.survey import Planned
from sslkit.harness.work.cluster import Cluster, parse
from sslkit.harness.work.execute import Task, free, gpu_of
from sslkit.store import Store
from tests.cli.call import assert_refused
from tests.harness.work.test_compare import SMALL, TINY, compare, elsewhere  # noqa: F401

submitit = pytest.importorskip("submitit")


def test_words_are_parameters_of_submitit() -> None:
    assert parse("local") == Cluster("local")
    found = parse("slurm,partition=gpu,timeout_min=60,gpus_per_node=1")
    assert found == Cluster("slurm", {"partition": "gpu", "timeout_min": 60, "gpus_per_node": 1})


@pytest.mark.parametrize(
    ("text", "words"),
    [("pbs", "must be slurm or local"), ("slurm,gpu", "is not key=value"), ("slurm,=1", "is not key=value")],
)
def test_mistakes(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        parse(text)
    assert_refused(compare("--cluster", text), words)
    assert not Path("runs").exists()


def test_an_unknown_parameter_and_no_slurm_are_one_line() -> None:
    made = compare("--algo", "fixmatch", "--seeds", 1, "--cluster", "local,timeout=x")
    assert made.code == 2
    assert made.err.strip().splitlines()[-1].startswith("error: --cluster local: ")
    made = compare("--algo", "fixmatch", "--seeds", 1, "--cluster", "slurm,partition=gpu")
    assert made.code == 2
    assert made.err.strip().splitlines()[-1].startswith("error: --cluster slurm: ")


def test_without_submitit_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    made = compare("--algo", "fixmatch", "--seeds", 1, "--cluster", "local")
    assert made.code == 2
    assert "pip install 'sslkit[slurm]'" in made.err.strip().splitlines()[-1]


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


@pytest.mark.slow
def test_jobs_give_what_one_process_gives() -> None:
    arguments = [*TINY, "--algo", "fixmatch", "--seeds", "2", "--runs"]
    assert compare(*arguments, "here").code == 0
    line = ["-m", "sslkit", "compare", *SMALL, *arguments, "jobs", "--cluster", "local,timeout_min=10"]
    subprocess.run([sys.executable, *line], check=True, capture_output=True)
    folders = [next(Path(runs).glob("compare-*")) for runs in ("here", "jobs")]
    pd.testing.assert_frame_equal(*(load(folder).drop(columns=["seconds", "memory"]) for folder in folders))
    assert list(Path("jobs/cluster").glob("*_submitted.pkl"))
