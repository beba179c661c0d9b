"""Tasks of a Slurm step are one run, and it is torchrun's: srun's environment around real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.reliability.small import leftovers, one_line, stages
from tests.reliability.test_torchrun import FLEXMATCH, ROOT, Ended, torchrun

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shipped")]


def srun(root: Path, *arguments: str, fault: str = "", tasks: int = 2, nodes: int = 1, missing: int = 0) -> Ended:
    """What `srun -n TASKS -N NODES sslkit …` starts, in the store `root`; the last `missing` tasks never come."""
    root.parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ranks-", dir=root.parent))
    line = [sys.executable, "-m", "tests.reliability.rank", str(folder), fault, *arguments, "--runs", str(root)]
    of_all = {
        **{"SLURM_JOB_ID": folder.name, "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "localhost,elsewhere"},
        **{"SLURM_NTASKS": str(tasks), "SLURM_STEP_TASKS_PER_NODE": f"{tasks // nodes}(x{nodes})"},
    }
    started = []
    for i in range(tasks - missing):
        node, local = divmod(i, tasks // nodes)
        own = {"SLURM_PROCID": str(i), "SLURM_LOCALID": str(local), "SLURM_NODEID": str(node)}
        with (folder / f"{i}.out").open("w") as out, (folder / f"{i}.err").open("w") as err:
            environment = os.environ | of_all | own | {"OMP_NUM_THREADS": "1"}
            started.append(
                subprocess.Popen(line, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            )
    for process in started:
        process.wait(timeout=300)
    codes = [folder / f"{i}.code" for i in range(len(started))]
    said = [[(folder / f"{i}.{end}").read_text("utf-8") for i in range(len(started))] for end in ("out", "err")]
    return Ended([int(p.read_text("utf-8")) if p.exists() else None for p in codes], *said)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of two ranks of torchrun."""
    root = tmp_path_factory.mktemp("pair") / "runs"
    assert torchrun(root, *FLEXMATCH).codes == [0, 0]
    return root


@pytest.mark.parametrize("nodes", [1, 2])
def test_two_tasks_are_two_ranks_of_torchrun(nodes: int, pair: Path, root: Path) -> None:
    ended = srun(root, *FLEXMATCH, nodes=nodes)
    assert ended.codes == [0, 0], ended.err
    assert "2 processes share every step" in ended.err[0]
    assert "Result: " in ended.out[0]
    assert ended.out[1] == ended.err[1] == ""
    assert [path.name for path in stages(root).values()] == [path.name for path in stages(pair).values()]
    for label, folder in stages(root).items():
        for name in ("weights.safetensors", "predictions.safetensors", "best.safetensors"):
            assert (folder / name).read_bytes() == (stages(pair)[label] / name).read_bytes(), f"{label}: {name}"
    assert not leftovers(root)


# what a task does in the semi stage -> exit codes, what is said
FAULTS: dict[str, tuple[list[int | None], str]] = {
    "0:12:wrong": ([2, 2], "this rank cannot"),  # the one at which all meet
    "1:12:wrong": ([2, 2], "this rank cannot"),
    "0:12:kill": ([None, 2], "another process has died; the same command goes on from the last checkpoint"),
    "1:12:kill": ([2, None], "another process has died; the same command goes on from the last checkpoint"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_all_tasks_end_with_one_line(fault: str, root: Path) -> None:
    codes, text = FAULTS[fault]
    ended = srun(root, *FLEXMATCH, fault=fault)
    assert ended.codes == codes, ended.err
    said = ended.err
    if fault == "0:12:wrong":  # task 0 has the store that the other asks why it ended: it may be gone already
        said = [words for words in said if text in words]
    assert text in one_line("".join(sorted(said, key=lambda words: "error: " in words)))


def test_a_task_that_never_comes_is_a_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEETING", "3")
    ended = srun(root, *FLEXMATCH, missing=1)
    assert ended.codes == [2]
    said = one_line(ended.err[0])
    assert "the processes do not find each other at localhost:" in said
    assert "2 tasks are one run, for a single one write srun -n 1" in said


@pytest.mark.skipif(not shutil.which("srun"), reason="there is no Slurm on this machine")
def test_by_a_real_srun(pair: Path, root: Path) -> None:
    if subprocess.run(["sinfo"], check=False, capture_output=True).returncode:
        pytest.skip("Slurm does not answer")
    line = ["srun", "-n", "2", "--mem-per-cpu=1500", sys.executable, "-m", "sslkit", *FLEXMATCH, "--runs", str(root)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(line, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stderr
    for label, folder in stages(root).items():
        assert (folder / "weights.safetensors").is_file(), label
    refused = subprocess.run(
        ["srun", "-n", "2", "--mem-per-cpu=1500", sys.executable, "-m", "sslkit", "predict", "x"],
        cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert refused.stderr.count("error: srun started 2 processes, and `sslkit predict` is one") == 1
    assert "Traceback" not in refused.stderr
