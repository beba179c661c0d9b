"""`sslkit compare` and `sslkit table`: matched runs, found again, with failures as cells."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sslkit.data import Images, decoding
from sslkit.harness import load
from sslkit.harness.plan.arms import plan, product
from sslkit.harness.plan.survey import survey
from sslkit.harness.work.compare import settled
from sslkit.prepare import prepare, read_once
from sslkit.store import Store, read_json
from sslkit.training.engine import Engine
from tests.cli.call import Call, assert_refused, sslkit

SMALL = ["--backbone", "vit_micro", "--set", "precision=fp32", "--set", "device=cpu"]
for key in ("finetune.steps=2", "finetune.batch=8", "semi.steps=2", "semi.batch=8", "semi.mu=2"):
    SMALL += ["--set", key]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "150")


# For what several processes train: they know nothing of the fixture that makes vit_micro narrow.
TINY = ["--plugin", str(Path(__file__).parents[2] / "kept" / "tiny.py"), "--backbone", "tiny", "--set", "threads=1"]
Fixmatch = Callable[[int], Call]  # the fixture: it is trained once for all tests


def compare(*arguments: object) -> Call:
    return sslkit("compare", *SMALL, *arguments)


def folder() -> Path:
    (found,) = Path("runs").glob("compare-*")
    return found


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that are trained from now on."""
    trained: list[str] = []
    original = Engine.train

    def train(self: Engine) -> dict[str, Any]:
        trained.append(self.spec.stage)
        return original(self)

    monkeypatch.setattr(Engine, "train", train)
    return trained


def test_a_comparison_from_its_runs_to_its_table() -> None:
    made = compare("--algo", "fixmatch,ema_teacher", "--mixer", "none,prob_pseudo", "--seeds", 3)
    assert made.code == 0, made.err
    assert "12 runs = 4 methods x 1 condition (vit_micro) x 3 seeds; 18 stages to train, not 36" in made.err
    rows = ["finetune", "finetune+", "fixmatch x none", "fixmatch x prob_pseudo", "ema_teacher x none"]
    for row in rows:
        assert row in " ".join(made.out.split())
    frame = load(folder())
    assert set(frame["row"]) == {*rows, "ema_teacher x prob_pseudo"}
    assert (frame.groupby("row")["seed"].nunique() == 3).all()
    assert len(frame) == 18
    assert not frame["error"].any()
    shown = sslkit("table", "--format", "json").json
    summary = {line["row"]: line for line in shown["summary"]}
    top1 = (
        frame[frame["row"] == "finetune"].set_index("seed")["top1"]
        - frame[frame["row"] == "finetune+"].set_index("seed")["top1"]
    )
    assert summary["finetune"]["difference"] == f"{top1.mean():+.1f}"
    assert summary["finetune+"]["difference"] == ""
    *answered, equal = shown["verdicts"]  # nothing was kept in so few steps, so no part made a difference
    assert len(answered) == 5
    assert "have the same predictions in every common seed" in equal


def test_all_formats_have_the_same_values(fixmatch: Fixmatch) -> None:
    fixmatch(2)
    top1 = load(folder()).groupby("row")["top1"].mean()
    for form in ("rich", "markdown", "latex"):
        text = sslkit("table", "--format", form).out
        assert all(f"{value:.1f}" in text for value in top1), form
        assert "2 seeds: values only" in text or form == "rich"
    csv = sslkit("table", "--format", "csv").out
    Path("t.csv").write_text(csv)
    assert pd.read_csv("t.csv")["top1"].tolist() == pytest.approx(load(folder())["top1"].tolist())


def test_nothing_is_trained_twice(fixmatch: Fixmatch, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fixmatch(2)
    table = sslkit("table").out
    trained = counted(monkeypatch)
    again = compare("--algo", "fixmatch", "--seeds", 2)
    assert again.out == first.out
    assert trained == []
    more = compare("--algo", "fixmatch,flexmatch", "--seeds", 2, "--name", "more")
    assert more.code == 0
    assert trained == ["semi"] * 2, "only the new arm, from the stages that are there"
    assert sslkit("table", "compare").out == table


def test_arms_differ_in_what_was_asked_for_and_nothing_else() -> None:
    """Defaults of the methods differ in steps, sizes and smoothing; a comparison does not."""
    keys = {"backbone.name": "vit_micro", "data.name": "digits"}
    arms = product(keys, {"algo.name": ["fixmatch", "ema_teacher"], "mixer.name": ["none", "prob_pseudo"]}, [])
    made = settled(plan(keys, arms, {}, 2), "runs", "compare")
    flat = [flat_of(made.request(arm, "all", 0)) for arm in made.arms]
    assert {(f["device"], f["precision"]) for f in flat} <= {(d, p) for d in ("cpu", "cuda") for p in ("fp32", "bf16")}
    for other in flat[1:]:
        apart = {key for key in flat[0].keys() | other.keys() if flat[0].get(key) != other.get(key)}
        assert all(key.partition(".")[0] in ("algo", "teacher", "labeler", "mixer") for key in apart), apart
        assert "labeler.smoothing" not in apart


def flat_of(request: dict[str, object]) -> dict[str, object]:
    from sslkit.config import flatten

    return flatten(prepare(request).config)


def test_a_method_without_a_slot_is_one_arm() -> None:
    remarks: list[str] = []
    arms = product({}, {"algo.name": ["mean_teacher", "fixmatch"], "mixer.name": ["none", "pseudo"]}, remarks)
    assert list(arms) == ["mean_teacher", "fixmatch x none", "fixmatch x pseudo"]
    assert remarks == ["mean_teacher has no mixer, so mixer.name is not varied there"]


def test_any_key_may_vary_and_conditions_make_groups() -> None:
    made = compare("--algo", "fixmatch", "--vary", "labeler.tau=0.3,0.9", "--labels", "4/class,10/class", "--seeds", 1)
    assert made.code == 0, made.err
    frame = load(folder())
    assert set(frame["condition"]) == {"4/class, vit_micro", "10/class, vit_micro"}
    assert {"fixmatch x labeler.tau=0.3", "fixmatch x labeler.tau=0.9"} < set(frame["row"])


def test_a_failed_run_is_a_cell_with_its_reason() -> None:
    Path("bad.py").write_text(
        '"""Fails."""\nfrom sslkit import register\nfrom sslkit.contracts import PseudoLabeler\n\n\n'
        '@register("labeler")\nclass Bad(PseudoLabeler):\n'
        "    def __init__(self, setup):\n        super().__init__()\n\n"
        '    def label(self, weak, labeled, batch, step):\n        raise RuntimeError("no label today")\n'
    )
    made = compare("--algo", "fixmatch", "--labeler", "threshold,bad", "--plugin", "bad.py", "--seeds", 2)
    assert made.code == 0, made.err
    assert made.err.count("RuntimeError: no label today") == 2
    shown = {line["row"]: line for line in sslkit("table", "--format", "json").json["summary"]}
    assert shown["fixmatch x bad"]["top-1 %"] == "not run"
    assert "no label today" in shown["fixmatch x bad"]["failed"]
    assert shown["fixmatch x threshold"]["n"] == 2


def test_arms_with_controls_of_their_own_are_compared_with_these() -> None:
    made = compare("--algo", "fixmatch", "--vary", "finetune.steps=2,3", "--seeds", 3)
    assert made.code == 0, made.err
    shown = {line["row"]: line for line in sslkit("table", "--format", "json").json["summary"]}
    top1 = load(folder()).pivot(index="seed", columns="row", values="top1")
    for arm in ("fixmatch x finetune.steps=2", "fixmatch x finetune.steps=3"):
        apart = (top1[arm] - top1[f"finetune+, {arm}"]).mean()
        assert shown[arm]["difference"] == f"{apart:+.1f}"
        assert shown[f"finetune+, {arm}"]["difference"] == ""
        assert shown[f"finetune, {arm}"]["adjusted p"] == ""
    page = sslkit("table", "--format", "html")
    assert page.code == 0, page.err


def test_precision_may_vary() -> None:
    """It is not that of the machine in all arms then."""
    keys = {"backbone.name": "vit_micro", "device": "cpu"}
    arms = product(keys, {"precision": ["fp32", "bf16"]}, [])
    made = settled(plan(keys, arms, {}, 1), "runs", "compare")
    assert [made.request(arm, "all", 0)["precision"] for arm in made.arms] == ["fp32", "bf16"]


def test_a_plan_reads_its_images_once_a_condition(monkeypatch: pytest.MonkeyPatch) -> None:
    """And is the same as where they are read for every run."""
    keys = {"backbone.name": "vit_micro", "device": "cpu"}
    arms = product(keys, {"algo.name": ["fixmatch", "flexmatch"]}, [])
    made = settled(plan(keys, arms, {"data.labels": ["4/class", "10/class"]}, 2), "runs", "compare")
    again = survey(made, Store("runs"))
    decoded: list[int] = []
    original = decoding.decode

    def noted(*a: Any, **k: Any) -> Images:
        decoded.append(1)
        return original(*a, **k)

    monkeypatch.setattr(decoding, "decode", noted)
    with read_once():
        assert survey(made, Store("runs")) == again
    assert len(decoded) == 2
    prepare(made.request("fixmatch", "4/class", 0))
    assert len(decoded) == 3, "and outside they are read again"


def test_what_cannot_be_compared_is_said_before() -> None:
    made = compare("--algo", "fixmatch", "--vary", "control.run=true,false", "--seeds", 1, "--dry-run")
    assert "fixmatch x control.run=True and fixmatch x control.run=False are the same" in made.err
    made = compare("--algo", "fixmatch", "--set", "control.run=false", "--seeds", 1, "--dry-run")
    assert "no method is called finetune+" in made.err
    assert "no method is called" not in compare("--algo", "fixmatch", "--seeds", 1, "--dry-run").err


def test_names_are_whole_in_a_narrow_window_and_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    made = compare("--algo", "fixmatch", "--seeds", 1)
    assert all(f" {row} " in made.out for row in ("finetune", "finetune+", "fixmatch"))
    assert "…" not in made.out


def test_a_dry_run_trains_nothing() -> None:
    made = compare("--algo", "fixmatch", "--seeds", 8, "--dry-run")
    assert made.code == 0, made.err
    assert "8 runs = 1 method x 1 condition (vit_micro) x 8 seeds; 24 stages to train\n" in made.err
    assert "smallest p that 8 seeds can reach (sign-flip test): 0.0078;" in made.err
    longer = compare("--algo", "fixmatch", "--seeds", 8, "--dry-run", "--equal-compute")
    assert "adjusted" not in longer.err, "nobody asked about the control of equal compute"
    assert "not stored yet: 24 stages, " in made.err
    assert not Path("runs").exists()


@pytest.mark.slow
def test_two_processes_give_what_one_gives() -> None:
    arguments = (*TINY, "--algo", "fixmatch,flexmatch", "--seeds", 2)
    compare(*arguments, "--runs", "one")
    made = compare(*arguments, "--jobs", 2, "--runs", "two")
    assert made.code == 0, made.err
    names = [next(Path(runs).glob("compare-*")) for runs in ("one", "two")]
    frames = [load(name).drop(columns=["seconds", "memory"]) for name in names]
    pd.testing.assert_frame_equal(*frames)


def test_damaged_predictions_take_one_interval_with_them(fixmatch: Fixmatch) -> None:
    fixmatch(3)
    key = read_json(folder() / "comparison.json")["runs"][0]
    Path("runs", "stages", key["stages"]["semi"], "predictions.safetensors").write_bytes(b"torn")
    shown = {line["row"]: line for line in sslkit("table", "--format", "json").json["summary"]}
    assert shown["fixmatch"]["CI, seeds and images"] == "predictions are damaged"
    assert " to " in shown["fixmatch"]["95% CI"]
    assert " to " in shown["finetune"]["CI, seeds and images"]
    assert sslkit("table", "--format", "html").code == 0


def test_latex_has_letters_of_its_usual_encoding(fixmatch: Fixmatch) -> None:
    fixmatch(3)
    text = sslkit("table", "--format", "latex").out
    assert "$\\pm$" in text
    assert "$\\geq$ 0.25" in text
    assert text.isascii()


def test_tables_that_are_not_there(fixmatch: Fixmatch) -> None:
    assert_refused(sslkit("table"), "no comparison")
    fixmatch(1)
    assert_refused(sslkit("table", "other"), "no comparison 'other'", folder().name)
    about = read_json(folder() / "comparison.json")
    for key, value in (("labeled", None), ("costs", None), ("runs", {})):
        (folder() / "comparison.json").write_text(json.dumps(about | {key: value}))
        assert_refused(sslkit("table"), f"comparison.json is damaged: {key}")
    (folder() / "comparison.json").write_text(json.dumps(about))
    for key in about["runs"][0]["stages"].values():
        Path("runs", "stages", key, "result.json").write_text("{")
    assert_refused(sslkit("table"), "damaged")
    (folder() / "comparison.json").write_text(json.dumps(about)[:-40])
    assert_refused(sslkit("table"), "damaged")
