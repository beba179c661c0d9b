"""Every algorithm, and every teacher x labeler x mixer of fixmatch, trains or says why not."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.config.resolve import options
from tests.algorithms.make import needed_words, stepping
from tests.cli.call import Call, assert_refused, run

STEPS = ("--set", "finetune.steps=2", "--set", "semi.steps=2", "--json")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store: the fine-tuned stage is trained once."""
    return tmp_path_factory.mktemp("combinations") / "runs"


untimed = pytest.mark.usefixtures("untimed")


def names(kind: str) -> list[str]:
    return [entry.name for entry in registry.entries(kind) if entry.origin == "built in"]


def trained(store: Path, *arguments: str) -> Call:
    call = run("--runs", store, *STEPS, *arguments)
    assert call.code == 0, call.err
    assert call.json["stages"][-1]["steps"] == 2
    return call


@untimed
@pytest.mark.parametrize("algorithm", stepping())
def test_every_algorithm_trains(algorithm: str, store: Path) -> None:
    found = trained(store, "--algo", algorithm, *needed_words(algorithm)).json["stages"][-1]
    assert found["method"].split(" x ")[0] == algorithm
    assert {"averaged", "student"} <= set(found["networks"])
    assert (found["pseudo_labels"] is None) == (algorithm == "supervised")


SLOTS = [
    pytest.param(*slots, marks=() if slots[1] == "threshold" or slots[::2] == ("self", "none") else pytest.mark.slow)
    for slots in product(names("teacher"), names("labeler"), names("mixer"))
]


@untimed
@pytest.mark.parametrize(("teacher", "labeler", "mixer"), SLOTS)
def test_every_combination_of_slots_trains(teacher: str, labeler: str, mixer: str, store: Path) -> None:
    slots = ("--teacher", teacher, "--labeler", labeler, "--mixer", mixer)
    low = ("--set", "labeler.tau=0.1") if "tau" in options(registry.load("labeler", labeler)) else ()
    found = trained(store, "--algo", "fixmatch", *slots, *low)
    config = found.json["config"]
    assert [config[f"{slot}.name"] for slot in ("teacher", "labeler", "mixer")] == [teacher, labeler, mixer]


@pytest.mark.parametrize(("teacher", "mixer"), list(product(names("teacher"), names("mixer"))))
def test_a_joint_forward_trains_or_says_what_it_needs(teacher: str, mixer: str, store: Path) -> None:
    arguments = ("--algo", "fixmatch", "--teacher", teacher, "--mixer", mixer, "--set", "algo.joint=true")
    if (teacher, mixer) == ("self", "none"):
        trained(store, *arguments)
    else:
        assert_refused(run("--runs", store, *STEPS, *arguments), "--teacher self", "--mixer none")


SMALL = {  # every built-in option away from its default
    "accumulation": ("--set", "semi.accumulate=2", "--set", "finetune.accumulate=4"),
    "sgd and clipping": ("--set", "semi.optimizer=sgd", "--set", "semi.clip=0.1"),
    "whole pool": ("--labels", "all", "--pool", "all"),
    "three labels": ("--labels", "3"),
    "batch of one": ("--set", "semi.batch=1", "--set", "semi.mu=1", "--set", "finetune.batch=1"),
    "larger images": ("--size", "16"),
    "drop path": ("--set", "backbone.drop_path=0.5"),
    "class token": ("--set", "backbone.pool=token"),
    "no memory": ("--set", "eval.decay=0"),
    "teacher of its own": ("--set", "teacher.decay=0.3", "--set", "teacher.mode=train"),
    "skipped": ("--set", "semi.skip_rejected=on"),
    "convolutions": ("--backbone", "wrn_10_1", "--set", "eval.buffers=copy"),
}


@untimed
@pytest.mark.parametrize("case", SMALL)
def test_options_train(case: str, store: Path) -> None:
    trained(store, *SMALL[case])


@untimed
def test_teacher_of_its_own_is_evaluated_too(store: Path) -> None:
    found = trained(store, "--set", "teacher.decay=0.3").json["stages"][-1]
    assert set(found["networks"]) == {"averaged", "student", "teacher"}
    assert set(trained(store).json["stages"][-1]["networks"]) == {"averaged", "student"}
