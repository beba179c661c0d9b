"""Classes one by one: equal to scikit-learn's, said with every run, shown by `sslkit show --classes`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn import metrics

from sslkit.record.advice import never
from sslkit.record.by_class import MOST, by_class
from sslkit.terminal.by_class import class_tables, sentence
from tests.cli.call import folder_of, run, sslkit


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 5, MOST + 1])
def test_equal_to_scikit_learns(seed: int, classes: int) -> None:
    draw = np.random.default_rng(seed)
    label = draw.integers(0, classes, 300)
    guess = np.where(draw.random(300) < 0.6, label, draw.integers(0, max(1, classes - 1), 300))
    names = [f"c{c}" for c in range(classes)]
    found = by_class(torch.from_numpy(guess), torch.from_numpy(label), names)
    each = metrics.precision_recall_fscore_support(label, guess, labels=range(classes), zero_division=np.nan)
    for row, precision, recall, images in zip(found["rows"], *each[:2], each[3], strict=True):
        for mine, theirs in ((row["precision"], precision), (row["recall"], recall)):
            assert (mine is None and np.isnan(theirs)) or mine == pytest.approx(theirs)
        assert row["images"] == images
    there = np.unique(label)
    expected = metrics.recall_score(label, guess, labels=there, average="macro", zero_division=0)
    assert found["balanced_accuracy"] == pytest.approx(expected)
    assert ("confusion" in found) == (classes <= MOST)
    if classes <= MOST:
        assert found["confusion"] == metrics.confusion_matrix(label, guess, labels=range(classes)).tolist()
    json.dumps(found)


def test_what_is_said_of_it() -> None:
    label, guess = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 0, 1, 1, 1, 0])
    found = by_class(guess, label, ["a", "[b]x", "c", "d"])
    said = sentence(found)
    assert said.startswith("Balanced accuracy 55.6%; lowest recall: 'c' 0%, 'a' 67% (")
    assert never(found["rows"]) == "never predicted: 'c'; label more images of it", "d has no test image"
    with (console := Console(width=100)).capture() as shown:
        for table in class_tables(found):
            console.print(table)
    assert "[b]x" in shown.get()
    assert "2 [b]x" in shown.get(), "the matrix"
    assert never(by_class(label, label, [*"abcd"])["rows"]) is None
    assert sentence(by_class(label, label, [*"abcd"])) == "Balanced accuracy 100.0%."


def test_of_many_classes_the_confusions_are_listed() -> None:
    label = torch.arange(40)
    found = by_class((label + (label == 7)) % 40, label, [f"c{c}" for c in range(40)])
    *_, pairs = class_tables(found)
    with (console := Console(width=100)).capture() as shown:
        console.print(pairs)
    assert [line.split() for line in shown.get().splitlines() if line.split()[:1] == ["c7"]] == [["c7", "c8", "1"]]


def test_every_run_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    made = run("--stages", "finetune", "--json")
    folder = folder_of(made, Path("runs"))
    shown = sslkit("show", folder, "--classes")
    assert shown.code == 0, shown.err
    assert "Balanced accuracy" in shown.out
    assert "true classes in lines, predicted in columns" in shown.out
    rows = made.json["classes"]["rows"]
    assert sum(row["images"] for row in rows) == made.json["headline"]["images"]
    stored = json.loads((folder / "results.json").read_text())
    del stored["classes"]  # as a run of an older version has it
    (folder / "results.json").write_text(json.dumps(stored))
    assert "Balanced" not in sslkit("show", folder).out
    old = sslkit("show", folder, "--classes")
    assert old.code == 2
    assert "nothing is known by class" in old.err
