"""What sbatch is given."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from sslkit.harness.cluster import script
from sslkit.harness.cluster.forest import Array, Job
from sslkit.harness.cluster.submissions import Submission, alone, new_folder, of, read

ARRAY = Array({0: Job(["a"], 60), 2: Job(["b", "c"], 60)})


def submission(tmp_path: Path) -> Submission:
    folder = new_folder(tmp_path / "runs" / "compare-1")
    return Submission(folder, {n: job.keys for n, job in ARRAY.jobs.items()}, ["c"], ["/p/x.py"])


def test_a_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/a b")
    made = submission(tmp_path)
    lines = script.text(made, ARRAY, {"time": "30", "comment": "two words", "exclusive": ""}, 4).splitlines()
    assert lines[0] == "#!/bin/bash"
    assert f"#SBATCH --job-name={made.name}" in lines
    assert "#SBATCH --array=0,2%4" in lines
    assert f"#SBATCH --output={made.folder}/%a.log" in lines
    assert {"#SBATCH --requeue", "#SBATCH --open-mode=append", "#SBATCH --time=30", "#SBATCH --exclusive"} <= {*lines}
    assert '#SBATCH "--comment=two words"' in lines
    assert "export PYTHONPATH='/a b'" in lines
    words = shlex.split(lines[-1])
    assert words[:4] == ["exec", sys.executable, "-m", "sslkit.harness.cluster.job"]
    assert words[4:] == [str(made.folder), "$SLURM_ARRAY_TASK_ID"]
    assert "%" not in next(x for x in script.text(made, ARRAY, {}, None).splitlines() if "--array" in x)


def test_what_an_array_waits_for() -> None:
    never = "--kill-on-invalid-dep=yes"
    assert script.waiting(ARRAY, "") == []
    assert script.waiting(ARRAY, "12") == ["--dependency=aftercorr:12", never]
    assert script.waiting(Array({}, after="7_3"), "") == ["--dependency=afterok:7_3", never]


def test_what_is_stored_is_read_and_no_name_is_used_twice(tmp_path: Path) -> None:
    first = submission(tmp_path)
    first.write("x")
    assert read(first.folder) == first
    second = submission(tmp_path)
    assert second.name != first.name
    second.write("y")
    assert of(first.comparison) == [first, second]
    other = new_folder(tmp_path / "elsewhere" / "compare-1")
    assert other.name not in (first.name, second.name)
    assert first.id == ""
    first.submitted("12")
    assert first.id == "12"
    first.fail(2, {"b": "why"})
    assert first.failures(2) == {"b": "why"}
    assert first.failures(0) == {}
    with alone(first.comparison) as descriptor:
        assert descriptor > 2
    (second.folder / "about.json").write_text("{}")
    assert of(first.comparison) == [first]
