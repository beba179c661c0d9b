"""Classes weighed and drawn evenly: against scikit-learn, torch and a count, for whole runs of every algorithm."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight

from sslkit import registry
from sslkit.config import Data
from sslkit.config.class_weights import by_name, joined
from sslkit.contracts import Stream
from sslkit.data.weighing import class_weights
from sslkit.errors import UserError
from sslkit.logistic import logistic_regression
from sslkit.randomness import Step
from sslkit.training.even import Even
from sslkit.training.loader import Targets
from tests.algorithms.make import CLASSES, STEP, Trainer, algorithm, batch, built_in, setup, stepping
from tests.cli.call import assert_refused, folder_of, run


def counts_and_labels(seed: int) -> tuple[list[int], np.ndarray]:
    """Labelled images of up to 6 classes, some of which may have none."""
    draw = np.random.default_rng(seed)
    counts = draw.integers(0 if seed % 2 else 1, 30, draw.integers(2, 7))
    counts[:2] += 1
    return counts.tolist(), np.repeat(np.arange(len(counts)), counts)


@pytest.mark.parametrize("seed", range(8))
def test_auto_is_scikit_learns_balanced_and_the_mean_is_always_one(seed: int) -> None:
    counts, label = counts_and_labels(seed)
    names = list(string.ascii_lowercase[: len(counts)])
    shown = np.flatnonzero(counts)
    auto = np.array(class_weights(Data(class_weights="auto"), counts, names))
    np.testing.assert_allclose(auto[shown], compute_class_weight("balanced", classes=shown, y=label))
    given = dict(zip(names, np.random.default_rng(seed).uniform(0.1, 9, len(names)), strict=True))
    text = ",".join(f"{name}={number}" for name, number in given.items())
    named = np.array(class_weights(Data(class_weights=text), counts, names))
    assert named[label].mean() == pytest.approx(1)
    ratios = named[shown] / named[shown][0]
    np.testing.assert_allclose(ratios, [given[names[c]] / given[names[shown[0]]] for c in shown])
    even = np.array(class_weights(Data(class_weights=text, sampling="classes"), counts, names))
    assert even[shown].mean() == pytest.approx(1), "each class is drawn equally often"
    on_features = class_weights(Data(sampling="classes"), counts, names, fitted=True)
    np.testing.assert_allclose(on_features, auto)


NAMES = ("cat", "big, dog", "a=b", "大 熊猫", "é", "1", "x.y", "=", "[b]", "n,o=p")


@pytest.mark.parametrize("seed", range(6))
def test_names_of_any_kind_come_back(seed: int) -> None:
    draw = np.random.default_rng(seed)
    given = {name: float(draw.integers(1, 99)) / 8 for name in draw.permutation(NAMES)[: 1 + seed].tolist()}
    table = joined({"data.class_weights": given})["data.class_weights"]
    assert by_name(table) == given
    flat = joined({"data.name": "digits"} | {f"data.class_weights.{name}": n for name, n in given.items()})
    assert flat == {"data.name": "digits", "data.class_weights": table}


@pytest.mark.parametrize(
    "text", ["", "cat", "cat=", "cat=0", "cat=-1", "cat=inf", "cat=nan", "=2", "cat=2,cat=3", "AUTO"]
)
def test_what_is_no_table_of_weights_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="class_weights"):
        Data(class_weights=text)


def test_an_unknown_class_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="'dgo', did you mean 'dog'"):
        class_weights(Data(class_weights="cat=1,dgo=2"), [3, 4], ["cat", "dog"])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_of_each_image_is_multiplied_by_the_weight_of_its_class(smoothing: float) -> None:
    weights, label, logits = torch.tensor([0.5, 2.0, 1.25]), torch.tensor([0, 1, 1, 2]), torch.randn(4, 3)
    stream = Stream({"weak": torch.zeros(4, 3, 2, 2)}, torch.arange(4), label)
    y = Targets(3, smoothing, weights=weights)(stream, Step(0, 1, 0)).y
    each = F.cross_entropy(logits, label, label_smoothing=smoothing, reduction="none")
    torch.testing.assert_close(F.cross_entropy(logits, y), (weights[label] * each).mean())


def test_mixed_images_have_both_weights() -> None:
    weights, label = torch.tensor([0.5, 2.0, 1.25]), torch.tensor([0, 1, 1, 2])
    stream = Stream({"weak": torch.randn(4, 3, 8, 8)}, torch.arange(4), label)
    step = Step(3, 9, 0)
    plain, weighed = (Targets(3, 0.0, 0.8, 0.0, w)(stream, step).y for w in (None, weights))
    torch.testing.assert_close(weighed, plain * weights)


@pytest.mark.parametrize("sizes", [(1, 9), (3, 3, 3), (7, 1, 2, 20)])
def test_every_class_is_drawn_equally_often_and_every_image_of_it(sizes: Sequence[int]) -> None:
    label = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    places = [torch.from_numpy(np.flatnonzero(label == c)) for c in range(len(sizes))]
    place, visit = Even(5, places)(0, 100)
    for end in (1, 7, 50, 100):
        drawn = np.bincount(label[place[:end].numpy()], minlength=len(sizes))
        assert drawn.max() - drawn.min() <= 1
    for own in places:
        times = torch.tensor([int((place == i).sum()) for i in own])
        assert times.max() - times.min() <= 1
    assert len({*zip(place.tolist(), visit.tolist(), strict=True)}) == 100, "no view is drawn twice"
    late, _ = Even(5, places)(60, 40)
    assert torch.equal(late, place[60:])
    other, _ = Even(6, places)(0, 100)
    assert not torch.equal(other, place)


def test_weighed_regression_is_scikit_learns() -> None:
    draw = torch.Generator().manual_seed(0)
    x, label = torch.randn(60, 5, generator=draw).double(), torch.arange(60) % 3 * (torch.arange(60) > 20)
    x += F.one_hot(label, 3).double() @ torch.randn(3, 5, generator=draw).double()
    weights = torch.tensor([0.3, 1.7, 2.2]).double()
    weight, bias = logistic_regression(x, F.one_hot(label, 3) * weights[label, None], 3, 2.0)
    z = x - x.mean(0)
    z /= z.square().sum(1).mean().sqrt()
    theirs = LogisticRegression(C=2.0, tol=1e-10, max_iter=10_000, class_weight=dict(enumerate(weights.tolist())))
    expected = theirs.fit(z.numpy(), label.numpy()).predict_proba(z.numpy())
    np.testing.assert_allclose((x @ weight.T + bias).softmax(1), expected, atol=1e-6)


UNEVEN = ("--labels", "index:labelled.csv", "--set", "data.class_weights=auto")
FITTED = sorted({*built_in("algorithm")} - {*stepping()})
SHORT = ("--set", "pretrain.steps=2", "--set", "pretrain.batch=8")


@pytest.fixture
def uneven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that labels 40 digits: ten times 3 of the first nine classes in all, and 13 of the last."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    _, train, _ = registry.load("dataset", "digits")().read()
    chosen = [i for c in range(10) for i in np.flatnonzero(train.label == c)[: 13 if c == 9 else 3].tolist()]
    (tmp_path / "labelled.csv").write_text("Index\n" + "\n".join(map(str, chosen)) + "\n")
    return tmp_path


def spec_of(store: Path, row: dict[str, str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((store / "stages" / row["key"] / "spec.json").read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", [n for n in stepping() if "labeled" in registry.load("algorithm", n).views])
def test_the_supervised_term_of_every_algorithm_is_linear_in_its_targets(name: str) -> None:
    """So that it has the weight of each image's class, whoever reads `y`."""
    made = algorithm(name, setup())
    given = batch(type(made))
    label = given["labeled"].label
    assert label is not None
    rows = F.one_hot(label, CLASSES).float()
    terms = []
    for w in (torch.ones(CLASSES), torch.arange(CLASSES) + 0.5, torch.arange(CLASSES) + 1.5):
        weighed = {**given, "labeled": replace(given["labeled"], target=rows * w[label, None])}
        other = copy.deepcopy(made)
        (losses,) = other.train_step(Trainer(other), [weighed], [STEP])
        terms.append(losses.terms["supervised"])
    torch.testing.assert_close(terms[2], terms[1] + terms[0])
    assert not torch.isclose(terms[1], terms[0])


def test_a_run_is_weighed_and_says_so(uneven: Path) -> None:
    asked = ("--json", "--stages", "semi", "--set", "semi.steps=2", *UNEVEN[:2])
    made, plain = run(*asked, *UNEVEN[2:]), run(*asked)
    assert made.code == plain.code == 0, made.err
    assert "class weights of the supervised loss (auto): '9' 0.308, '0' 1.33" in made.err
    [row], [other] = made.json["stages"], plain.json["stages"]
    np.testing.assert_allclose(spec_of(uneven / "runs", row)["data"]["class_weights"], [4 / 3] * 9 + [4 / 13])
    assert 'class_weights = "auto"' in (folder_of(made, uneven / "runs") / "config.toml").read_text()
    assert (row["key"], row["networks"]) != (other["key"], other["networks"])


ASKED = ("data.class_weights=auto", "data.class_weights=9=3", "data.sampling=classes")


@pytest.mark.parametrize("number", range(len(FITTED)))
def test_methods_on_frozen_features_are_weighed_or_refuse(number: int, uneven: Path) -> None:
    name, asked = FITTED[number], ASKED[number % 3]
    made = run("--algo", name, "--json", *UNEVEN[:2], "--set", asked)
    if name not in ("linear", "self_training"):
        assert_refused(made, f"algorithm '{name}' has no loss", asked.partition("=")[0])
        return
    assert made.code == 0, made.err
    assert spec_of(uneven / "runs", made.json["stages"][0])["data"]["class_weights"]
    if name != "linear":
        return
    plain = run("--algo", name, "--json", *UNEVEN[:2])
    nll = [call.json["stages"][0]["networks"]["averaged"]["nll"] for call in (made, plain)]
    assert nll[0] != nll[1]


def test_a_run_that_draws_classes_evenly(uneven: Path) -> None:
    made = run("--json", *UNEVEN[:2], "--set", "data.sampling=classes", "--stages", "pretrain,finetune", *SHORT)
    assert made.code == 0, made.err
    assert "every class comes equally often (data.sampling=classes): classes have 3 to 13" in made.err
    pretrain, finetune = (spec_of(uneven / "runs", row)["data"] for row in made.json["stages"])
    assert "sampling" not in pretrain, "it has no labels, and is shared with other runs"
    assert finetune["sampling"] == "classes"
    both = run(*UNEVEN, "--set", "data.sampling=classes")
    assert_refused(both, "data.class_weights=auto and sampling=classes both")
    assert_refused(run(*UNEVEN[:2], "--set", "data.class_weights=ten=3"), "unknown class", "'ten'")
