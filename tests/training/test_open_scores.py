"""What is measured of images of no known class: AUROC and the accuracy over C + 1 classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from sslkit import registry
from sslkit.contracts import Algorithm
from sslkit.network import Classifier
from sslkit.training.evaluation import open_scores
from tests.algorithms.make import algorithm, images, network, setup, stepping
from tests.cli.call import folder_of, run


def drawn(n: int, classes: int, levels: int, seed: int) -> Tensor:
    """(n, 2) scores, of `levels` different ones, and classes up to C."""
    made = torch.Generator().manual_seed(seed)
    score = torch.randint(levels, (n,), generator=made) / levels
    return torch.stack([score, torch.randint(classes + 1, (n,), generator=made).float()], 1)


@pytest.mark.parametrize("levels", [1, 3, 1000])
@pytest.mark.parametrize(("n", "m", "classes"), [(40, 25, 3), (1, 1, 2), (7, 50, 100)])
def test_both_are_the_loops(n: int, m: int, classes: int, levels: int) -> None:
    known, unknown = drawn(n, classes, levels, 0), drawn(m, classes, levels, 1)
    label = torch.arange(n) % classes
    wins = sum(1.0 if b > a else 0.5 if b == a else 0.0 for a in known[:, 0].tolist() for b in unknown[:, 0].tolist())
    recalls = []
    for c in sorted({*label.tolist()}):
        mine = [guess == c for guess, y in zip(known[:, 1].tolist(), label.tolist(), strict=True) if y == c]
        recalls.append(sum(mine) / len(mine))
    recalls.append(sum(guess == classes for guess in unknown[:, 1].tolist()) / m)
    found = open_scores(known, label, unknown, classes)
    assert found["auroc"] == pytest.approx(wins / (n * m), abs=1e-12)
    assert found["open_top1"] == pytest.approx(sum(recalls) / len(recalls), abs=1e-12)
    truth = [0] * n + [1] * m
    assert found["auroc"] == pytest.approx(roc_auc_score(truth, torch.cat([known, unknown])[:, 0].numpy()), abs=1e-12)


def test_by_hand() -> None:
    """Of the six pairs the unknown image has the higher score in three, an equal one in one: 3.5 of 6.

    Class 0 is found once of two, class 1 is rejected, and one unknown image of two is: (1/2 + 0 + 1/2) / 3. An image
    without a label counts nowhere.
    """
    known = torch.tensor([[0.1, 0], [0.5, 1], [0.9, 2], [9.0, 0]])
    unknown = torch.tensor([[0.5, 2], [0.7, 0]])
    found = open_scores(known, torch.tensor([0, 0, 1, -1]), unknown, 2)
    assert found == {"auroc": pytest.approx(3.5 / 6), "open_top1": pytest.approx(1 / 3)}


def test_scores_of_one_kind_are_chance_and_apart_ones_are_1() -> None:
    one, label = torch.tensor([[0.2, 0.0]] * 5), torch.zeros(5, dtype=torch.int64)
    assert open_scores(one, label, one, 2)["auroc"] == 0.5
    assert open_scores(one, label, one + 1, 2)["auroc"] == 1
    assert open_scores(one + 1, label, one, 2)["auroc"] == 0


@pytest.mark.parametrize("name", stepping())
def test_every_method_says_how_unknown_an_image_is(name: str) -> None:
    """(N,) finite scores and classes up to C. Without a rule of its own: 1 - max p, and no image is rejected."""
    net = network()
    made: Algorithm = algorithm(name, setup(net)).eval()
    net.eval()
    x = images(7)
    if not made.classifies:
        return
    with torch.no_grad():
        score, guess = made.open_set(net, x)
        p = made.predict(net, x).softmax(1)
    assert score.shape == guess.shape == (7,)
    assert score.isfinite().all()
    assert not guess.is_floating_point()
    assert guess.min() >= 0
    assert guess.max() <= 5
    if registry.load("algorithm", name).open_set is Algorithm.open_set:
        torch.testing.assert_close(score, 1 - p.amax(1))
        assert guess.equal(p.argmax(1))


def test_hidden_labels_and_unknown_images_reach_no_algorithm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on six known classes: what the method sees, what it is told, and what is stored and shown."""
    seen: list[Any] = []

    class Watching(registry.load("algorithm", "fixmatch")):  # type: ignore[misc]
        def forward(self, batch: Any, step: Any) -> Any:
            u = batch["unlabeled"]
            assert u.label is None
            assert u.target is None
            seen.append((batch["labeled"].label, self.student.classifier().out_features))
            return super().forward(batch, step)

        def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
            score, guess = super().open_set(network, images)
            return score, torch.where(score > 0.5, 6, guess)

    monkeypatch.setattr(registry, "load_entry", _with(Watching, registry.load_entry))
    call = run("--runs", tmp_path, "--algo", "fixmatch", "--open-set", "4", "--set", "labeler.tau=0", "--json")
    assert call.code == 0, call.err
    assert all(label.max() < 6 and classes == 6 for label, classes in seen)
    assert seen
    folder = folder_of(call, tmp_path)
    row = json.loads((folder / "results.json").read_text())["stages"][-1]
    assert 0 <= row["networks"]["averaged"]["auroc"] <= 1
    assert 0 < row["pseudo_labels"]["unknown"] < 1
    assert row["pseudo_labels"]["precision"] <= 1
    assert "C+1 %" in run("--runs", tmp_path, "--algo", "fixmatch", "--open-set", "4", "--set", "labeler.tau=0").out
    places = json.loads((folder / "split.json").read_text())
    assert len(places["classes"]) == 6
    assert not {*places["unknown"]} & {*places["test"], *places["pool"], *places["labeled"]}


def _with(cls: type, load: Any) -> Any:
    """A registry that gives this class for `fixmatch`."""
    return lambda entry: cls if (entry.kind, entry.name) == ("algorithm", "fixmatch") else load(entry)
