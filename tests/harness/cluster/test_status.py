"""How stages stand, what is printed for other schedulers, and what a job without time says."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from sslkit.harness import load
from sslkit.harness.cluster import job
from sslkit.store import Store
from tests.cli.call import Call, sslkit
from tests.harness.cluster.fake import Slurm, slurm_here
from tests.harness.work.test_compare import compare, counted, elsewhere, folder  # noqa: F401

ASKED = ("--algo", "fixmatch", "--seeds", 2)
WORDS = (*ASKED, "--cluster", "slurm", "--bundle", 0)


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    with slurm_here(monkeypatch) as made:
        yield made


def told(call: Call) -> list[str]:
    assert call.code == 0, call.err
    return call.out.strip().splitlines()


def test_how_stages_stand(slurm: Slurm, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(compare(*ASKED, "--status")) == ["missing: 6 stages (not submitted)"]
    assert not Path("runs/stages").exists()
    slurm.works = False
    compare(*WORDS, "--detach")
    assert told(compare(*ASKED, "--status")) == ["waiting: 6 stages (Priority)"]
    first = slurm.submitted[0]
    assert job.main([str(first.folder), "0"]) == 0
    slurm.end("COMPLETED", first, 0)
    first.log(1).write_text("Killed\n")
    slurm.end("OUT_OF_MEMORY", first, 1)
    key = slurm.submitted[1].tasks[0][0]
    with Store("runs").working(key, lambda: None) as work:
        assert work is not None
        lines = [{"step": 10, "seconds": 2.0}, {"step": 20, "seconds": 3.0}]
        (work / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        rows = json.loads(compare(*ASKED, "--status", "--json").out)["stages"]
        said = " ".join(" ".join(told(compare(*ASKED, "--status"))).split())
        (work / "result.json").write_text("{}")
    assert [row["state"] for row in rows] == ["running", "waiting", "waiting", "waiting", "failed", "done"]
    assert rows[0]["step"] == 20
    assert rows[0]["images_s"] == 80, "8 labelled images a step"
    assert "running: finetune+ of fixmatch, vit_micro, seed 0: step 20 of 2, 80 images/s, job 2_0 for" in said
    assert "failed: finetune of fixmatch, vit_micro, seed 1: OUT_OF_MEMORY, job 1_1; its log ends in 'Killed';" in said
    assert said.endswith("waiting: 3 stages (Priority) done: 1 stage")


def test_printed_jobs_are_run_by_anyone(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    made = compare(*ASKED, "--cluster", "print,partition=gpu", "--bundle", 0)
    assert made.code == 0, made.err
    assert made.out == ""
    assert "6 jobs for 6 stages" in made.err
    submit = (folder() / "cluster" / "submit.sh").read_text()
    assert submit.count("sbatch --parsable") == 3
    assert "--dependency=aftercorr:$job0 --kill-on-invalid-dep=yes" in submit
    lines = [line.split("\t") for line in (folder() / "cluster" / "jobs.txt").read_text().splitlines()]
    assert [line[0] for line in lines] == ["0", "0", "1", "1", "1", "1"]
    for _, _, command in lines:
        assert job.main(shlex.split(command)[3:]) == 0
    assert not slurm.submitted
    trained = counted(monkeypatch)
    assert compare(*ASKED).code == 0
    assert trained == []
    assert not load(folder())["error"].any()


def test_little_memory_is_warned_of(slurm: Slurm) -> None:
    assert compare(*WORDS).code == 0
    warned = compare("--algo", "flexmatch", "--seeds", 1, "--cluster", "slurm,mem=100M", "--dry-run")
    assert "warning: mem=100M is less than the" in warned.err
    assert "warning" not in compare("--algo", "flexmatch", "--seeds", 1, "--cluster", "slurm,mem=900G", "--dry-run").err


def test_a_job_whose_time_is_over_before_it_began_says_so(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "ends_at", lambda told, now: 0.0)
    monkeypatch.setattr("sslkit.harness.cluster.slurm.show", lambda number: {})
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    made = compare(*WORDS)
    assert made.code == 2
    assert "the time of its job was over before a step was done; ask for more, as in time=60" in made.err


def test_status_of_a_comparison_that_ended(slurm: Slurm) -> None:
    assert compare(*WORDS).code == 0
    assert told(compare(*ASKED, "--status")) == ["done: 6 stages"]
    assert sslkit("table").code == 0
