"""FLOPs against closed forms, and the arm of equal compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslkit.harness.pages.cost_table import short
from sslkit.harness.plan import cost as cost_module
from sslkit.harness.plan.arms import plan
from sslkit.harness.plan.cost import EQUAL, costs, equal_compute
from sslkit.harness.plan.survey import Survey, survey
from sslkit.harness.work.compare import settled
from sslkit.store import Store
from tests.harness.work.test_compare import elsewhere  # noqa: F401

B, MU, C = 8, 3, 10
DIM, DEPTH = 16, 1  # of the network of this room
BASE = {
    "backbone": "vit_micro", "threads": 1, "precision": "fp32", "finetune.steps": 6, "semi.steps": 4, "semi.batch": B,
    "finetune.batch": B, "semi.mu": MU, "control.lr": 3e-4,
}  # fmt: skip


def of(arms: dict[str, dict[str, Any]], **more: Any) -> tuple[Any, Survey]:
    made = settled(plan(BASE | more, arms, {}, 1), "runs", "compare")
    return made, survey(made, Store("runs"))


def forward(dim: int = DIM, depth: int = DEPTH, patch: int = 4, size: int = 8) -> tuple[float, float]:
    """FLOPs of an image through a ViT with mean pooling, and those of the patch embedding alone: two a product."""
    tokens = (size // patch) ** 2
    embed = 2 * tokens * 3 * patch**2 * dim
    tokens += 1  # class token
    block = 2 * tokens * (4 + 8) * dim**2 + 2 * 2 * tokens**2 * dim
    return embed + depth * block + 2 * dim * C, embed


def test_a_transformers_steps_are_the_closed_form() -> None:
    made, found = of({"fixmatch": {"algo": "fixmatch"}})
    rows = costs(made, found, Path("cache"))["all"]
    whole, embed = forward()
    train = 3 * whole - embed  # twice backward, but no gradient of the images
    assert rows["finetune"]["flops"] == pytest.approx(B * train)
    assert rows["finetune+"]["flops"] == pytest.approx(B * train)
    assert rows["fixmatch"]["flops"] == pytest.approx(B * (1 + MU) * train + B * MU * whole)
    assert rows["fixmatch"]["before"] == pytest.approx(6 * B * train)
    assert rows["finetune"]["before"] == 0
    assert rows["fixmatch"]["images"] == B * (1 + MU)
    assert {rows[row]["parameters"] for row in rows} == {rows["finetune"]["parameters"]}


def test_a_method_on_frozen_features_costs_their_pass() -> None:
    arms = {name: {"algo": name} for name in ("linear", "label_spreading", "fixmatch")}
    made, found = of(arms, stages="probe,finetune,semi")
    rows = costs(made, found, Path("cache"))["all"]
    whole, _ = forward()
    labeled, pool = (found.specs[found.runs[1].stages["semi"]].data[name][0] for name in ("labeled", "pool"))
    assert rows["linear"]["flops"] == pytest.approx(labeled * whole)
    assert rows["label_spreading"]["flops"] == pytest.approx((labeled + pool) * whole)
    assert (rows["linear"]["steps"], rows["linear"]["images"], rows["linear"]["before"]) == (1, labeled, 0)
    assert rows["finetune"]["before"] == pytest.approx(labeled * whole), "the probe that it starts from"
    assert rows["fixmatch"]["before"] > rows["finetune"]["before"]


def test_a_step_in_micro_batches_costs_the_same() -> None:
    arms = {"fixmatch": {"algo": "fixmatch"}}
    whole, parts = (costs(*of(arms, **more), Path("cache"))["all"] for more in ({}, {"semi.accumulate": 4}))
    assert whole["fixmatch"]["flops"] == parts["fixmatch"]["flops"]


def test_a_step_that_fails_has_no_cost() -> None:
    made, found = of({"fixmatch": {"algo": "fixmatch"}})
    key = next(run.stages["semi"] for run in found.runs)
    found.specs[key].parts["labeler"]["options"]["tau"] = "much"
    assert set(costs(made, found, Path("cache"))["all"]) == {"finetune", "finetune+"}


def test_equal_compute_is_finetune_plus_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    made, found = of({"fixmatch": {"algo": "fixmatch"}, "none": {"algo": "ema_teacher", "mixer": "none"}})
    before = costs(made, found, Path("cache"))["all"]
    more = equal_compute(made, found, Path("cache"))
    again = survey(more, Store("runs"), found)
    monkeypatch.setattr(cost_module, "_counted", lambda *_: pytest.fail("counted twice"))
    rows = costs(more, again, Path("cache"))["all"]
    assert set(rows) == {"finetune", "finetune+", "fixmatch", "none", EQUAL}
    cost = {row: rows[row]["flops"] * rows[row]["steps"] for row in rows}
    assert rows[EQUAL]["flops"] == rows["finetune+"]["flops"]
    assert abs(cost[EQUAL] - max(cost["fixmatch"], cost["none"])) <= rows[EQUAL]["flops"] / 2
    assert {row: rows[row] for row in before} == before
    run = next(run for run in again.runs if run.arm == EQUAL)
    control = next(run for run in again.runs if run.arm == "fixmatch")
    assert run.stages["finetune"] == control.stages["finetune"]
    assert again.spec(run, "semi").training["lr"] == 3e-4
    assert list(run.stages) == ["finetune", "semi"]


@pytest.mark.parametrize(("number", "word"), [(802_314, "802k"), (86e6, "86M"), (12, "12"), (1280, "1.28k")])
def test_numbers_are_short(number: float, word: str) -> None:
    assert short(number) == word
