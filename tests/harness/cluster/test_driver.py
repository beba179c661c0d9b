"""Submitting, attaching again, and the truth about jobs that have ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sslkit.errors import Stopped
from sslkit.harness import load
from sslkit.harness.cluster import job, submissions
from sslkit.store import Store
from sslkit.training.engine import Engine
from tests.cli.call import Call
from tests.harness.cluster.fake import Slurm, slurm_here
from tests.harness.work.test_compare import compare, counted, elsewhere, folder  # noqa: F401

WORDS = ("--algo", "fixmatch", "--seeds", 2, "--cluster", "slurm", "--bundle", 0)
Fixmatch = Callable[[int], Call]


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    with slurm_here(monkeypatch) as made:
        yield made


def values() -> pd.DataFrame:
    return load(folder()).drop(columns=["seconds", "memory"])


def assert_as_here(fixmatch: Fixmatch) -> None:
    """The comparison's values are those of one that is trained in this process."""
    found = values()
    shutil.rmtree("runs")
    fixmatch(2)
    pd.testing.assert_frame_equal(found, values())


def test_jobs_give_what_one_process_gives(slurm: Slurm, fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = counted(monkeypatch)
    made = compare(*WORDS)
    assert made.code == 0, made.err
    assert "submitted 6 jobs for 6 stages" in made.err
    assert [sorted(x.tasks) for x in slurm.submitted] == [[0, 1]] * 3
    assert [*map(len, slurm.waits)] == [0, 2, 2]
    assert slurm.waits[1][0] == "--dependency=aftercorr:1"
    assert sorted(trained) == ["finetune"] * 2 + ["semi"] * 4
    assert_as_here(fixmatch)


def test_short_stages_are_one_job(slurm: Slurm) -> None:
    assert "submitted 1 job for 6 stages" in compare(*WORDS[:-2]).err


def test_a_killed_driver_is_followed_by_one_that_attaches(
    slurm: Slurm, fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    slurm.works = False

    def killed(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sslkit.harness.cluster.driver.time.sleep", killed)
        made = compare(*WORDS)
    assert made.code == 130
    names = ",".join(x.name for x in slurm.submitted)
    assert f"the jobs go on; scancel --name={names} ends them; the same command goes on" in made.err
    (slurm.submitted[1].folder / "id").unlink()  # killed between sbatch and the writing of its number
    slurm.works, slurm.later = True, 1
    again = compare(*WORDS)
    assert "attached to jobs that train 6 stages" in again.err
    assert len(slurm.submitted) == 3
    assert slurm.submitted[1].id == "2"
    assert_as_here(fixmatch)


def test_detached_jobs_are_collected_later(slurm: Slurm, fixmatch: Fixmatch) -> None:
    slurm.works = False
    left = compare(*WORDS, "--detach")
    assert left.code == 0, left.err
    assert left.out == ""
    assert "2 runs to come" in left.err
    slurm.run()
    slurm.forgets = True
    made = compare(*WORDS)
    assert "submitted" not in made.err
    assert_as_here(fixmatch)


@pytest.mark.parametrize("forgets", [False, True])
def test_what_left_nothing_has_failed_and_the_next_command_submits_it_again(
    slurm: Slurm, fixmatch: Fixmatch, forgets: bool
) -> None:
    slurm.ending, slurm.forgets = "OUT_OF_MEMORY", forgets
    made = compare(*WORDS)
    assert made.code == 2
    submitted = slurm.submitted[0]
    state = (
        "is not known to Slurm any more, and left no result"
        if forgets
        else "ran out of memory; ask for more, as in mem=4G"
    )
    assert f"finetune: job 1_0 {state}; its log ends in 'Killed'; {submitted.log(0)}" in made.err.replace("\n", "")
    slurm.ending = ""
    again = compare(*WORDS)
    assert "submitted 6 jobs for 6 stages" in again.err
    assert_as_here(fixmatch)


def test_a_damaged_part_is_a_row_and_not_the_end(slurm: Slurm, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Engine.train

    def train(self: Engine) -> dict[str, Any]:
        if self.spec.stage == "semi" and self.spec.seed == 1 and "teacher" in self.spec.parts:
            raise ValueError("of the part")
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "train", train)
        made = compare(*WORDS)
    assert made.code == 0
    assert "seed 1 failed: semi: ValueError: of the part (job 3_1)" in " ".join(made.err.split())
    assert load(folder())["error"].str.contains("of the part").sum() == 1
    again = compare(*WORDS)
    assert "submitted 1 job for 1 stage" in again.err
    assert not load(folder())["error"].any()


def test_what_slurm_lost_before_it_began_is_submitted_again(slurm: Slurm) -> None:
    slurm.later, original = 1, slurm.submit

    def submit(script: Path, more: Sequence[str], descriptor: int) -> str:
        number = original(script, more, descriptor)
        if number == "2":
            slurm.states = {at: seen for at, seen in slurm.states.items() if at[0] != slurm.submitted[1].name}
        return number

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sslkit.harness.cluster.slurm.submit", submit)
        made = compare(*WORDS)
    assert made.code == 0
    assert "submitted 2 jobs for 2 stages" in made.err
    assert not load(folder())["error"].any()


@pytest.mark.parametrize("healed", [True, False])
def test_what_slurm_could_not_launch_is_released(slurm: Slurm, monkeypatch: pytest.MonkeyPatch, healed: bool) -> None:
    """It would be held until somebody looks: three times, then it has failed."""
    slurm.works, done = False, []
    assert compare(*WORDS, "--detach").code == 0
    first = slurm.submitted[0]
    slurm.end("PENDING", first, 0, "launch failed requeued held")

    def release(number: str) -> None:
        done.append(number)
        if healed:
            slurm.end("PENDING", first, 0)
            slurm.works = True

    def cancel(number: str) -> None:
        slurm.end_all("CANCELLED")

    monkeypatch.setattr("sslkit.harness.cluster.slurm.release", release)
    monkeypatch.setattr("sslkit.harness.cluster.slurm.cancel", cancel)
    made = compare(*WORDS)
    assert done == ["1_0"] * (1 if healed else 3)
    assert made.code == (0 if healed else 2)


def test_slurm_may_be_away_for_a_while(slurm: Slurm) -> None:
    slurm.silent = 3
    made = compare(*WORDS)
    assert made.code == 0
    assert made.err.count("Slurm does not answer (Unable to contact slurm controller)") == 3


def test_what_another_process_trains_is_left_alone(slurm: Slurm, capsys: pytest.CaptureFixture[str]) -> None:
    slurm.works = False
    assert compare(*WORDS, "--detach").code == 0
    first = slurm.submitted[0]
    with suppress(KeyboardInterrupt), Store("runs").working(first.tasks[0][0], lambda: None):
        assert job.main([str(first.folder), "0"]) == job.UNFINISHED
        assert "another process trains finetune of fixmatch" in capsys.readouterr().out
        raise KeyboardInterrupt  # it stops, too
    assert not submissions.read(first.folder).failures(0)
    assert job.main([str(first.folder), "0"]) == 0


def test_a_stage_that_is_cut_off_is_submitted_again_while_it_gets_further(
    slurm: Slurm, fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a time limit that kills it, say: as often as there is a new checkpoint."""
    original, left = Engine.step, [1, 1]

    def step(self: Engine, index: int, log: Any) -> None:
        original(self, index, log)
        if self.spec.seed == 0 and self.spec.stage == "finetune" and index == 0 and left:
            left.pop()
            self.done = index + 1
            self._save(log)
            raise Stopped("cut off")

    monkeypatch.setattr(Engine, "step", step)
    made = compare(*WORDS)
    assert made.code == 0, made.err
    assert_as_here(fixmatch)
