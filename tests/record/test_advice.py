"""Warnings: each is said where it applies, and not where it does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sslkit.record.advice import Watch, before, better, fitting, gain, mixed, takes_over
from sslkit.terminal import screen
from sslkit.terminal.tables import results_table
from sslkit.training import work
from sslkit.training.spec import Spec
from tests.cli.call import folder_of, run, sslkit


def spec(steps: int = 200, decay: float = 0.9, tau: float | None = 0.95, **also: Any) -> Spec:
    labeler = {"name": "a", "source": "", "options": {} if tau is None else {"tau": tau}}
    made = Spec("semi", "", {"labeler": labeler}, {"steps": steps}, {}, {"decay": decay}, {}, 0, "cpu", "fp32", 1)
    return replace(made, **also)


@pytest.mark.parametrize(
    ("steps", "decay", "warned"),
    [(100, 0.99, False), (100, 0.991, True), (99, 0.99, True), (5, 1.0, True), (5, 0.0, False), (1, 0.0, False)],
)
def test_an_average_that_remembers_longer_than_the_stage(steps: int, decay: float, warned: bool) -> None:
    found = before([spec(steps, decay)], None, 8)
    assert bool(found) == warned
    if warned:
        assert f"the stage has {steps}" in found[0]
        advised = float(found[0].split("semi.decay=")[1].split(",")[0])
        assert not before([spec(steps, advised)], None, 8)


def test_a_teacher_has_a_decay_of_its_own_and_nothing_is_said_twice() -> None:
    teacher = {"name": "t", "source": "", "options": {"decay": 0.9999}}
    found = before([spec(parts={"teacher": teacher})] * 2, None, 8)
    assert len(found) == 1
    assert "teacher.decay=" in found[0]
    assert "10000 steps" in found[0]
    assert not before([spec(parts={"teacher": teacher | {"options": {"decay": None}}})], None, 8)


def test_more_threads_or_workers_than_cores() -> None:
    assert not before([spec(threads=4)], 4, 4)
    (threads,) = before([spec(threads=5)], None, 4)
    assert "5 threads on 4 cores" in threads
    assert "--threads 4" in threads
    (workers,) = before([spec()], 64, 4)
    assert "64 workers on 4 cores" in workers
    assert not before([spec(threads=5, device="cuda")], None, 4)
    several = spec(threads=2, training={"steps": 200, "processes": 3})
    assert "6 threads on 4 cores" in before([several], None, 4)[0]


def said(watched: Spec, lines: Sequence[tuple[float | None, float | None]]) -> list[tuple[int, str]]:
    """(Step, sentence) of lines of ten steps each, with coverage and precision."""
    watch, found = Watch(watched), []
    for i, (coverage, precision) in enumerate(lines):
        line: dict[str, Any] = {"step": 10 * (i + 1), "coverage": coverage, "precision": precision, "confidence": 0.5}
        sentence = watch({k: v for k, v in line.items() if v is not None})
        found += [(line["step"], sentence)] if sentence else []
    return found


def test_nothing_is_kept_for_long() -> None:
    ((step, sentence),) = said(spec(400), [(0.0, None)] * 40)
    assert step == 100
    assert "no pseudo-label was kept in 100 steps" in sentence
    assert "mean confidence is 0.50" in sentence
    assert "labeler.tau is 0.95" in sentence
    assert "lower labeler.tau" in sentence
    assert not said(spec(400), ([(0.0, None)] * 9 + [(0.1, 0.5)]) * 4)
    assert said(spec(400), [(0.5, 0.5)] * 20 + [(0.0, float("nan"))] * 20)[0][0] == 300
    assert not said(spec(40), [(0.0, None)] * 4), "a few steps are not long"


def test_all_is_kept_for_long_though_it_is_not_right() -> None:
    ((step, sentence),) = said(spec(400), [(1.0, 0.6)] * 40)
    assert step == 100
    assert "all pseudo-labels were kept in 100 steps, 60% of them are right" in sentence
    assert "raise labeler.tau" in sentence
    assert not said(spec(400), [(1.0, 0.95)] * 40), "all are right"
    assert not said(spec(400, tau=None), [(1.0, 0.5)] * 40), "a labeler without a threshold keeps all on purpose"
    assert said(spec(400, tau=None), [(0.0, None)] * 40)
    assert not said(spec(400), [(None, None)] * 40), "a stage without pseudo-labels"
    assert said(spec(400), [(1.0, None)] * 40), "nobody knows the pool's labels"


@pytest.mark.parametrize(
    ("guess", "truth", "warned"),
    [
        ([0.1] * 10, [0.1] * 10, False),
        ([0.4, *[0.6 / 9] * 9], [0.1] * 10, True),
        ([0.25, *[0.75 / 9] * 9], [0.1] * 10, False),
        ([0.85, 0.15], [0.5, 0.5], True),
        ([0.7, 0.3], [0.5, 0.5], False),
        ([0.95, 0.05], [0.9, 0.1], False),
        ([1.0, 0.0], [0.9, 0.1], False),
        ([0.2, *[0.8 / 99] * 99], [0.01] * 100, True),
    ],
)
def test_one_class_takes_over(guess: list[float], truth: list[float], warned: bool) -> None:
    names = [f"[b]{i}" for i in range(len(guess))]
    found = takes_over("semi", guess, truth, names)
    assert bool(found) == warned
    if found:
        assert f"'[b]0' takes over in stage semi: {guess[0]:.0%} of the test images" in found
        assert "labeler.tau" not in str(takes_over("finetune", guess, truth, names))


def test_a_labeler_without_a_threshold_has_other_words() -> None:
    said = str(gain(results(-0.012, 0.05, 0.99)))
    assert fitting(said, tau=True) == said
    assert "labeler.tau" not in fitting(said, tau=False)
    assert "try another labeler, which keeps more" in fitting(said, tau=False)
    assert "labeler.tau" not in fitting(str(gain(results(0.0, 0.8, None))), tau=False)


def test_names_in_warnings_are_no_markup() -> None:
    row = {"stage": "semi", "method": "a", "networks": {}, "losses": {}, "seconds": 1, "new": True}
    results = {"run": "r", "headline": {"top1": None}, "gains": {}, "pretrain": "trained", "stages": [row]}
    *_, said = results_table(results | {"remarks": ["class '[b]0' takes over"]})
    with (console := Console()).capture() as shown:
        console.print(said)
    assert shown.get() == "Warning: class '[b]0' takes over.\n"


def results(gained: float, coverage: float | None, precision: float | None, control: bool = True) -> dict[str, Any]:
    quality = None if coverage is None else {"coverage": coverage, "precision": precision, "recall": 0.1}
    gains = {"semi - finetune": 0.05} | ({"semi - finetune+": gained} if control else {})
    stages = [{"stage": "finetune"}, {"stage": "semi", "pseudo_labels": quality}]
    return {"gains": gains, "stages": stages, "headline": {"top1": 0.8}}


def test_a_semi_stage_that_gains_nothing_is_explained() -> None:
    assert gain(results(0.001, 0.5, 0.9)) is None
    few = str(gain(results(-0.012, 0.05, 0.99)))
    assert "gained nothing over finetune+ (-1.2 points)" in few
    assert "5% of the pseudo-labels were kept, 99% of these were right" in few
    assert "lower labeler.tau" in few
    assert "raise labeler.tau" in str(gain(results(0.0, 0.8, 0.6)))
    assert "(+0.0 points)" in str(gain(results(0.0, 0.8, 0.6)))
    assert "not the trouble" in str(gain(results(-0.01, 0.8, 0.97)))
    assert "lower labeler.tau" in str(gain(results(-0.01, 0.0, None))), "nothing kept has no precision"
    assert gain(results(-0.01, None, None)) is not None
    assert gain(results(-0.01, 0.5, 0.9, control=False)) is None, "without a control arm its start is compared with"
    assert gain(results(0.0, 0.5, 0.9) | {"headline": {"top1": 1.0}}) is None, "nothing is left to gain"
    alone = {"gains": {}, "stages": [{"stage": "finetune"}], "headline": {"top1": 0.8}}
    assert gain(alone) is None


def test_an_earlier_stage_that_is_more_accurate_is_named() -> None:
    from scipy.stats import binomtest

    rows = [{"stage": stage} for stage in ("probe", "finetune", "finetune+", "semi")]
    found = {"stages": rows, "config": {"stages": "probe,finetune,semi"}}
    right = {"probe": [True] * 12 + [False] * 8, "semi": [False] * 9 + [True] * 5 + [False] * 6}
    right |= {"finetune": [True] * 10 + [False] * 10, "finetune+": [True] * 20}
    said = str(better(found, right))
    p = binomtest(2, 11).pvalue  # of the images on which one alone is right
    assert said.startswith("probe is more accurate than semi: 60.0% against 25.0% of 20 test images")
    assert f"(p {p:.2g}, McNemar); --stages probe ends with it" in said
    assert "beyond chance" in str(better(found, right | {"semi": [False] * 20}))
    assert "--stages probe,finetune ends" in str(better(found, right | {"finetune": [True] * 20}))
    assert better(found, right | {"semi": [True] * 12 + [False] * 8}) is None
    other = found | {"stages": [{"stage": "pretrain"}, *rows]}
    assert better(other, right | {"pretrain": [True] * 99}) == said, "other test images"
    assert better(found, {"probe": [True]}) is None, "nothing is known of the last one"
    assert better({"stages": rows[:1], "config": {"stages": "probe"}}, {"probe": [True, False]}) is None


def test_stages_of_different_versions_are_named() -> None:
    now, before = {"sslkit": "0.2.0", "torch": "2.14.1"}, {"sslkit": "0.2.0", "torch": "2.13.0"}
    rows = [{"stage": "finetune", "versions": before}, {"stage": "finetune+", "versions": now}]
    rows.append({"stage": "semi", "versions": now})
    said = "finetune by sslkit 0.2.0, torch 2.13.0; finetune+, semi by sslkit 0.2.0, torch 2.14.1"
    assert said in str(mixed(rows))
    assert mixed(rows[1:]) is None


def test_a_run_that_finds_a_stage_of_another_version_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    monkeypatch.setattr(work, "versions", lambda: {"sslkit": "0.0.9", "torch": "2.9.0"})
    assert not any("versions" in line for line in run("--stages", "finetune", "--json").json["remarks"])
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    (said,) = (line for line in run("--json").json["remarks"] if "versions" in line)
    assert "finetune by sslkit 0.0.9, torch 2.9.0; semi by" in said


def test_a_run_says_and_stores_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold that nothing passes, an average that stays where it is, and more threads than any machine has."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    sets = ("--set", "labeler.tau=1.0", "--set", "semi.steps=60", "--set", "semi.decay=0.99", "--set", "semi.batch=4")
    made = run("--algo", "fixmatch", *sets, "--json")
    assert made.code == 0, made.err
    shown = made.err.replace("\n", " ")
    kept = "no pseudo-label was kept in 50 steps"
    memory = "the averaged network of stage semi has decay 0.99, a memory of 100 steps"
    assert f"warning: {kept}" in shown
    assert memory in shown
    assert any(remark.startswith(f"semi: {kept}") for remark in made.json["remarks"])
    assert any(memory in remark for remark in made.json["remarks"])
    folder = folder_of(made, Path("runs"))
    table = sslkit("show", folder).out
    assert f"Warning: semi: {kept}" in table
    stored = json.loads((folder / "results.json").read_text())
    assert stored["remarks"] == made.json["remarks"]
    del stored["remarks"]  # as a run of an older version has it
    (folder / "results.json").write_text(json.dumps(stored))
    assert "Warning" not in sslkit("show", folder).out
