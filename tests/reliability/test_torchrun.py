"""A run by torchrun is the run of one process with as many micro-batches; it stops, goes on and fails as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from sslkit.cli import main
from sslkit.store import checkpoint
from sslkit.training import evaluation
from tests.reliability.rank import SHARE
from tests.reliability.small import SMALL, checkpoints, leftovers, one_line, small, stages
from tests.reliability.test_processes import apart

pytestmark = pytest.mark.usefixtures("shipped")
ROOT = Path(__file__).parents[2]
SGD = ("--set", "finetune.optimizer=sgd", "--set", "semi.optimizer=sgd")
FLEXMATCH = (*SMALL, *SGD, "--precision", "fp32", "--val", "0.2")
BATCHNORM = (*FLEXMATCH, "--algo", "ema_teacher", "--backbone", "wrn_10_1")  # a teacher that uses the statistics


def accumulate(times: int) -> list[str]:
    return ["--set", f"finetune.accumulate={times}", "--set", f"semi.accumulate={times}"]


@dataclass(frozen=True)
class Ended:
    """What the ranks of a run left: exit codes, None of one that was killed, and what they printed."""

    codes: list[int | None]
    out: list[str]
    err: list[str]


def torchrun(root: Path, *arguments: str, world: int = 2, fault: str = "") -> Ended:
    """A run by torchrun in the store `root`, with a fault of `tests.reliability.rank`."""
    root.parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=root.parent))
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)]
    line += ["--log-dir", str(folder), "--redirects", "3", "-m", "tests.reliability.rank", str(folder), fault]
    line += [*arguments, "--runs", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as started:
        try:
            _, report = started.communicate(timeout=170)
        except subprocess.TimeoutExpired:
            started.terminate()  # torchrun ends its ranks
            raise
    said = [[p.read_text("utf-8") for p in sorted(folder.rglob(f"{name}.log"))] for name in ("stdout", "stderr")]
    assert len(said[0]) == world, report
    files = [folder / f"{rank}.code" for rank in range(world)]
    return Ended([int(p.read_text("utf-8")) if p.exists() else None for p in files], *said)


def results(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(next(root.glob("*/results.json")).read_text("utf-8"))
    return found


def weights(root: Path, name: str = "weights") -> dict[str, dict[str, Tensor]]:
    return {label: checkpoint.load(path / f"{name}.safetensors")[0] for label, path in stages(root).items()}


def furthest(one: Path, other: Path, name: str = "weights") -> float:
    """The largest difference between two stores, over all stages."""
    mine, theirs = weights(one, name), weights(other, name)
    assert mine.keys() == theirs.keys()
    return max(max(apart(mine[label], theirs[label]).values(), default=0.0) for label in mine)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ended]:
    """The store of two ranks, left alone."""
    root = tmp_path_factory.mktemp("pair") / "runs"
    return root, torchrun(root, *FLEXMATCH)


def alone(root: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Path:
    """The same by one process."""
    monkeypatch.setattr(evaluation, "BATCH", SHARE)
    assert main([*arguments, "--runs", str(root)]) == 0
    return root


@pytest.mark.slow
def test_two_ranks_are_one_process_with_twice_the_micro_batches(pair, root, monkeypatch):
    both, ended = pair
    assert ended.codes == [0, 0]
    alone(root, monkeypatch, *FLEXMATCH, *accumulate(2))
    for label, folder in stages(root).items():
        for name in ("weights.safetensors", "predictions.safetensors", "best.safetensors"):
            assert (folder / name).read_bytes() == (stages(both)[label] / name).read_bytes(), f"{label}: {name}"
    for mine, theirs in zip(results(root)["stages"], results(both)["stages"], strict=True):
        assert mine["losses"] == pytest.approx(theirs["losses"], rel=1e-6)
        same = ("networks", "best", "pseudo_labels", "stage", "method", "steps")
        assert {k: mine[k] for k in same} == {k: theirs[k] for k in same}
    assert results(both)["machine"]["processes"] == 2


@pytest.mark.slow
def test_the_followers_print_nothing_and_leave_no_files(pair):
    root, ended = pair
    assert "Result: " in ended.out[0]
    assert "2 processes share every step" in ended.err[0]
    assert ended.out[1] == ended.err[1] == ""
    assert not leftovers(root)
    for folder in stages(root).values():
        names = sorted(path.name.partition(".")[0] for path in folder.iterdir())
        assert names == ["best", "events", "metrics", "predictions", "result", "spec", "weights"]


@pytest.mark.slow
def test_a_second_run_finds_it_finished(pair):
    root, _ = pair
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    ended = torchrun(root, *FLEXMATCH)
    assert ended.codes == [0, 0]
    assert "is finished" in ended.err[0]
    assert ended.out[1] == ended.err[1] == ""
    assert before == {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_stopped_by_torchrun_and_gone_on_with(pair, root):
    """SIGTERM comes to torchrun, and through it to the ranks, each at a step of its own."""
    ended = torchrun(root, *FLEXMATCH, fault="1:12:stop")
    assert ended.codes == [130, 130]
    said = "".join(ended.err)
    assert said.count("the same command goes on") == 1
    assert "stopped after step 20 of 22 of semi" in said
    assert "Traceback" not in said
    assert checkpoints(root, "semi")[-1].name == "checkpoint-000000020.safetensors"
    ended = torchrun(root, *FLEXMATCH)
    assert ended.codes == [0, 0]
    assert "semi goes on from step 20" in ended.err[0]
    assert [path.name for path in stages(root).values()] == [path.name for path in stages(pair[0]).values()]
    assert furthest(root, pair[0]) == furthest(root, pair[0], "predictions") == 0


@pytest.mark.slow
def test_four_ranks_are_two_with_two_micro_batches_each(root):
    """A sum of four terms has several orders: equal to rounding."""
    assert torchrun(root / "4", *FLEXMATCH, "--set", "semi.batch=8", world=4).codes == [0] * 4
    assert torchrun(root / "2", *FLEXMATCH, "--set", "semi.batch=8", *accumulate(2)).codes == [0, 0]
    assert 0 < furthest(root / "4", root / "2") < 1e-5
    assert furthest(root / "4", root / "2", "predictions") < 1e-4


@pytest.mark.slow
def test_running_statistics_are_those_of_one_process(root, monkeypatch):
    """Batch statistics are of a micro-batch; what is left of all of them is equal to rounding."""
    assert torchrun(root / "2", *BATCHNORM).codes == [0, 0]
    alone(root / "1", monkeypatch, *BATCHNORM, *accumulate(2))
    assert 0 < furthest(root / "1", root / "2") < 1e-5


# what a rank does in the semi stage -> exit codes, what is said, checkpoints that stand
FAULTS: dict[str, tuple[list[int | None], str, int]] = {
    "1:12:wrong": ([2, 2], "this rank cannot", 1),
    "0:12:wrong": ([2, 2], "this rank cannot", 1),
    "0:15:full": ([2, 2], "No space left on device", 1),
    "1:12:nan": ([2, 2], "is not finite at step 12", 1),
    "1:12:kill": ([2, None], "another process has died", 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_all_ranks_end_with_one_line(fault, root):
    codes, text, kept = FAULTS[fault]
    ended = torchrun(root, *FLEXMATCH, fault=fault)
    assert ended.codes == codes, ended.err
    assert text in one_line("".join(sorted(ended.err, key=lambda said: "error: " in said)))
    assert len(checkpoints(root, "semi")) == kept
    assert not list(root.glob("*/results.json"))


@pytest.mark.slow
def test_a_bug_shows_where_it_is(root):
    """No error for people: one traceback, that of the rank."""
    ended = torchrun(root, *FLEXMATCH, fault="1:12:bug")
    assert ended.codes == [1, 1]
    assert "ZeroDivisionError: a bug" in ended.err[1]
    assert "Traceback" not in ended.err[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--set", "semi.batch=5"), "5 labeled images a step do not divide into 2 micro-batches"),
        (("--algo", "fixmtach"), "did you mean 'fixmatch'"),
    ],
)
def test_what_cannot_be_is_one_line_before_anything_is_trained(arguments, text, root):
    ended = torchrun(root, *FLEXMATCH, *arguments)
    assert ended.codes == [2, 2]
    assert text in one_line("".join(sorted(ended.err, key=lambda said: "error: " in said)))
    assert not list(root.rglob("*"))


def test_half_of_torchruns_environment_is_an_error(root, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert small(root) == 2
    assert "torchrun" in one_line(capsys.readouterr().err)
    assert not root.exists()


@pytest.mark.slow
def test_adapters_by_ranks_are_those_of_one_process(root, monkeypatch):
    """The leader writes the frozen weights once; what the ranks exchange and store is what trains."""
    lora = (*FLEXMATCH, "--adapt", "lora")
    both = root.parent / "both"
    ended = torchrun(both, *lora)
    assert ended.codes == [0, 0], ended.err
    alone(root, monkeypatch, *lora, *accumulate(2))
    assert furthest(root, both) == 0
    assert [path.name for path in (root / "frozen").iterdir()] == [path.name for path in (both / "frozen").iterdir()]


@pytest.mark.slow
def test_an_adapter_with_fsdp_is_refused_in_a_line(root):
    ended = torchrun(root, *FLEXMATCH, "--adapt", "lora", "--fsdp")
    assert ended.codes == [2, 2]
    assert "--fsdp is for networks of which all trains, --adapt freezes most; drop one of them" in one_line(
        ended.err[0]
    )
