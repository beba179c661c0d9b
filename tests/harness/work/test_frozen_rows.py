"""Methods on frozen features in a comparison, and seeds that begin elsewhere."""

from __future__ import annotations

from sslkit.harness import load
from sslkit.harness.plan.arms import plan
from tests.cli.call import sslkit
from tests.harness.work.test_compare import compare, elsewhere, folder  # noqa: F401


def test_methods_on_frozen_features_stand_beside_trained_ones() -> None:
    """They are matched to those that train, whichever is named first; all start where the probe does."""
    made = compare(
        "--algo", "knn,fixmatch,linear", "--seeds", 2, "--first-seed", 3, "--set", "stages=probe,finetune,semi"
    )
    assert made.code == 0, made.err
    frame = load(folder())
    assert not frame["error"].any()
    assert set(frame["row"]) == {"probe", "finetune", "finetune+", "knn", "linear", "fixmatch"}
    assert set(frame["seed"]) == {3, 4}
    by = frame.pivot(index="seed", columns="row", values="top1")
    assert (by["linear"] == by["probe"]).all(), "the probe is the method `linear`"
    (costs,) = sslkit("table", "--format", "json").json["costs"].values()
    assert costs.keys() == {*frame["row"]}


def test_the_first_seed_names_another_comparison() -> None:
    arms = {"a": {"algo": "fixmatch"}}
    base = {"backbone.name": "vit_micro", "data.name": "digits"}
    zero, same, three = (
        plan(base, arms, {}, 2),
        plan(base, arms, {}, 2, first_seed=0),
        plan(base, arms, {}, 2, first_seed=3),
    )
    assert zero.digest == same.digest != three.digest
    assert [seed for *_, seed in three.runs()] == [3, 4]
    assert three.request("a", "all", 3)["seed"] == 3
