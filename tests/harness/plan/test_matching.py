"""What stages differ in is found, explained by what was asked for, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sslkit.errors import UserError
from sslkit.harness.plan.arms import Comparison, plan
from sslkit.harness.plan.matching import unasked
from sslkit.harness.plan.survey import distinct, row_names, sentences, survey
from sslkit.harness.work.compare import settled
from sslkit.store import Store
from sslkit.training.differences import differences
from sslkit.training.spec import Spec
from tests.harness.work.test_compare import elsewhere  # noqa: F401

BASE = {"backbone": "vit_micro", "threads": 1, "precision": "fp32", "semi.steps": 4, "finetune.steps": 4}
SPEC = Spec(
    "semi", "p", {"algo": {"name": "fixmatch", "options": {"joint": False}, "source": "s"}}, {"steps": 4, "lr": 0.1},
    {"labeled": {"weak": {"shift": 0.1}}}, {"decay": 0.9, "buffers": "average"}, {"labeled": [40, "h"]}, 0, "cpu",
    "fp32", 1,
)  # fmt: skip


def of(arms: dict[str, dict[str, Any]], **more: Any) -> Comparison:
    return settled(plan(BASE | more, arms, {"data.labels": ["4/class"]}, 2), "runs", "compare")


@pytest.mark.parametrize(
    ("change", "key", "causes"),
    [
        ({"training": {"steps": 5, "lr": 0.1}}, "semi.steps", ["semi.steps", "semi.epochs", "semi.images"]),
        ({"training": {"steps": 4, "lr": 0.2}}, "semi.lr", ["semi.lr", "semi.scale_lr", "control.lr"]),
        ({"views": {"labeled": {"weak": {"shift": 0.2}}}}, "views.labeled.weak.shift", ["views.weak.shift"]),
        ({"average": {"decay": 0.8, "buffers": "average"}}, "average.decay", ["eval.decay", "semi.steps"]),
        ({"data": {"labeled": [40, "g"]}}, "data.labeled", ["data.labels"]),
        ({"seed": 1}, "seed", ["seed"]),
        ({"device": "cuda"}, "device", ["device"]),
        ({"precision": "bf16"}, "precision", ["precision"]),
        ({"threads": 2}, "threads", ["threads"]),
    ],
    ids=str,
)
def test_a_difference_is_named_unless_it_was_asked_for(change: dict[str, Any], key: str, causes: list[str]) -> None:
    other = replace(SPEC, **change)
    assert list(differences(other, SPEC)) == [key]
    assert unasked(other, SPEC, {"algo.name", "mixer.name"}) == [key]
    for cause in causes:
        assert unasked(other, SPEC, {cause}) == []


def test_a_methods_own_parts_may_differ_but_for_smoothing() -> None:
    labeler = {"name": "threshold", "options": {"tau": 0.5, "smoothing": 0.1}, "source": "s"}
    this = replace(SPEC, parts=SPEC.parts | {"labeler": labeler})
    other = replace(SPEC, parts=SPEC.parts | {"labeler": labeler | {"options": {"tau": 0.9, "smoothing": 0.0}}})
    assert unasked(this, other, {"algo.name"}) == ["labeler.smoothing"]
    assert differences(this, other) == {"labeler.tau": (0.9, 0.5), "labeler.smoothing": (0.0, 0.1)}
    assert differences(this, SPEC) == {"labeler.name": (None, "threshold")}


def test_the_same_is_no_difference() -> None:
    assert differences(SPEC, SPEC) == {}
    assert differences(replace(SPEC, parent="another"), SPEC) == {}


def test_a_comparison_says_what_its_rows_differ_in() -> None:
    made = of({"none": {"algo": "fixmatch"}, "pairs": {"algo": "fixmatch", "mixer": "pseudo", "labeler.tau": 0.4}})
    found = distinct(survey(made, Store("runs")), replace(made, reference="none"))["4/class"]
    assert {k: v for k, v in found["pairs"].items() if k != "mixer.alpha"} == {
        "labeler.tau": (0.6, 0.4), "mixer.name": ("none", "pseudo"),
    }  # fmt: skip
    assert found["finetune+"]["algo.name"] == ("fixmatch", "supervised")
    said = sentences({"4/class": found})
    assert "pairs: labeler.tau 0.6 -> 0.4; mixer.name none -> pseudo" in said
    assert sentences({"a": found, "b": found}) == said, "said once where it is the same"


def test_what_differs_before_the_compared_stage_is_said() -> None:
    arms = {"scratch": {"algo": "fixmatch"}, "masked": {"algo": "fixmatch", "stages": "pretrain,finetune,semi"}}
    made = of(arms | {"faster": {"algo": "fixmatch", "finetune.lr": 0.1}}, **{"pretrain.steps": 4})
    found = distinct(survey(made, Store("runs")), replace(made, reference="scratch"))["4/class"]
    assert found["masked"] == {"stages before": ("finetune", "pretrain, finetune")}
    assert found["faster"]["finetune.lr"][1] == 0.1
    assert "masked: stages before finetune -> [pretrain, finetune]" in sentences({"4/class": found})


def test_patience_may_vary() -> None:
    arms = {str(n): {"algo": "fixmatch", "eval.patience": n} for n in (1, 3)}
    made = replace(of(arms, **{"data.val": 0.3}), reference="1")
    found = distinct(survey(made, Store("runs")), made)["4/class"]
    assert found["3"]["semi.patience"] == (1, 3)


def test_what_was_not_asked_for_is_refused() -> None:
    made = of({"a": {"algo": "fixmatch"}, "b": {"algo": "fixmatch", "labeler.tau": 0.4}})
    requests = {c: arms | {"b": arms["b"] | {"semi.lr": 0.5}} for c, arms in made.requests.items()}
    with pytest.raises(UserError, match=r"'b' and 'a' differ in semi.lr, which was not asked for"):
        survey(replace(made, requests=requests), Store("runs"))
    asked = replace(made, requests=requests, arms=made.arms | {"b": made.arms["b"] | {"semi.lr": 0.5}})
    assert len(survey(asked, Store("runs")).runs) == 4


def test_controls_that_arms_do_not_share_are_rows_of_their_own() -> None:
    arms = {"slow": {"algo": "fixmatch", "finetune.lr": 1e-4}, "fast": {"algo": "fixmatch", "finetune.lr": 1e-3}}
    names = set(row_names(survey(of(arms), Store("runs")).runs).values())
    assert names == {"slow", "fast", "finetune, slow", "finetune, fast", "finetune+, slow", "finetune+, fast"}
    shared = of({"a": {"algo": "fixmatch"}, "b": {"algo": "flexmatch"}})
    assert set(row_names(survey(shared, Store("runs")).runs).values()) == {"a", "b", "finetune", "finetune+"}


def test_steps_that_follow_from_epochs_asked_for_are_not_matched() -> None:
    made = of({"short": {"algo": "fixmatch"}, "long": {"algo": "fixmatch", "semi.epochs": 1}})
    assert not any("semi.steps" in remark for remark in made.remarks)
    found = survey(made, Store("runs"))
    assert len({spec.training["steps"] for spec in found.specs.values() if spec.stage == "semi"}) == 2
