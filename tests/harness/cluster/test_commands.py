"""What Slurm's commands say, by programs that stand for them."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from sslkit.errors import UserError
from sslkit.harness.cluster import slurm
from sslkit.harness.cluster.job import ends_at
from sslkit.harness.cluster.slurm import Seen

Say = Callable[..., None]


@pytest.fixture
def says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Puts a program of this name there, which says this and ends with this code."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def put(name: str, out: str = "", err: str = "", code: int = 0) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text(out)
        (tmp_path / "out" / f"{name}.err").write_text(err)
        script = f"#!/bin/sh\ncat {tmp_path}/out/{name}\ncat {tmp_path}/out/{name}.err >&2\nexit {code}\n"
        (tmp_path / name).write_text(script)
        (tmp_path / name).chmod(stat.S_IRWXU)

    return put


def test_jobs_of_an_array(says: Say) -> None:
    lines = (
        "a|12|0|RUNNING|1:02|(null)|None",
        "a|12|3|PENDING|0:00|aftercorr:11_*(unfulfilled)|Dependency",
        "b|13|1|PENDING|0:00|(null)|Nodes required for job are DOWN, DRAINED or reserved|x",
        "c|14|N/A|RUNNING|0:01|(null)|None",
    )
    says("squeue", "\n".join(lines) + "\n")
    assert slurm.jobs(["a", "b"]) == {
        ("a", 0): Seen("12_0", "RUNNING", "", "1:02"),
        ("a", 3): Seen("12_3", "PENDING", "Dependency", "0:00", "aftercorr:11_*(unfulfilled)"),
        ("b", 1): Seen("13_1", "PENDING", "Nodes required for job are DOWN, DRAINED or reserved|x", "0:00"),
    }
    assert slurm.jobs([]) == {}


def test_which_jobs_live() -> None:
    for state in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD"):
        assert Seen("1_0", state, "None").lives
    for state in ("COMPLETED", "FAILED", "OUT_OF_MEMORY", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "CANCELLED"):
        assert not Seen("1_0", state, "None").lives
    assert not Seen("1_0", "PENDING", "DependencyNeverSatisfied").lives


@pytest.mark.parametrize("name", ["squeue", "scontrol"])
def test_a_controller_that_is_away_is_no_answer(says: Say, name: str) -> None:
    says(name, err="slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", code=1)
    with pytest.raises(slurm.Silent, match="Unable to contact slurm controller"):
        slurm.jobs(["a"]) if name == "squeue" else slurm.show("1_0")


def test_what_is_refused_is_one_line(says: Say) -> None:
    err = "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified\n"
    says("sbatch", err=err, code=1)
    with pytest.raises(UserError) as told:
        slurm.check({"partition": "nope"})
    assert str(told.value) == (
        "--cluster slurm,partition=nope: invalid partition specified: nope; "
        "allocation failure: Invalid partition name specified"
    )


@pytest.mark.parametrize(("nodes", "refused"), [("idle\n", True), ("idle\nallocated\n", True), ("drained\n", False)])
def test_what_no_node_has_is_refused_unless_nodes_are_away(says: Say, nodes: str, refused: bool) -> None:
    says("sbatch", err="allocation failure: Requested node configuration is not available\n", code=1)
    says("sinfo", nodes)
    if not refused:
        slurm.check({"mem": "900G"})
        return
    with pytest.raises(UserError, match=r"slurm,mem=900G: allocation failure: no node has what is asked for"):
        slurm.check({"mem": "900G"})


def test_a_number_with_the_name_of_a_cluster(says: Say, tmp_path: Path) -> None:
    says("sbatch", "123;north\n")
    with (tmp_path / "lock").open("w") as file:
        assert slurm.submit(tmp_path / "job.sh", [], file.fileno()) == "123"


def test_accounting(says: Say) -> None:
    says("sacct", "CANCELLED by 0\n")
    assert slurm.last_state("12_0") == "CANCELLED"
    says("sacct", err="Slurm accounting storage is disabled\n", code=1)
    assert slurm.last_state("12_0") == ""
    says("sacct")
    assert slurm.last_state("12_0") == ""


def test_limits_of_the_cluster(says: Say) -> None:
    says("scontrol", "MaxArraySize            = 1001\n")
    assert slurm.largest_array() == 1000
    says(
        "scontrol", "PartitionName=a Default=NO MaxTime=1:00:00 \nPartitionName=b Default=YES MaxTime=2-03:30:00 X=1\n"
    )
    assert slurm.longest("") == 2 * 1440 + 210
    says("scontrol", "PartitionName=a Default=NO MaxTime=UNLIMITED MinNodes=1\n")
    assert slurm.longest("a") is None


def test_when_a_job_stops() -> None:
    now = time.time()

    def after(seconds: float) -> float:
        end = datetime.fromtimestamp(now + seconds).isoformat(timespec="seconds")
        return ends_at({"EndTime": end}, now) - now

    assert after(60) == pytest.approx(45, abs=1)
    assert after(480) == pytest.approx(360, abs=1)
    assert after(86400) == pytest.approx(86280, abs=1)
    assert ends_at({"EndTime": "Unknown"}, now) == float("inf")
    assert ends_at({}, now) == float("inf")
