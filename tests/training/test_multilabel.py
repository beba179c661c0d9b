"""Images with several labels: scores, thresholds and losses against sklearn, loops, and hands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, log_loss

from sslkit import logistic, registry
from sslkit.contracts import Mixed, PseudoLabels, Stream
from sslkit.losses import cross_entropy, joint_forward, only_kept, weighted_ce
from sslkit.network import Output
from sslkit.training import multilabel
from sslkit.training.evaluation import label_quality, label_scores, scores
from sslkit.training.loader import Targets
from tests.algorithms.make import STEP, algorithm, setup
from tests.algorithms.tiny import Tiny


def drawn(n: int, classes: int, levels: int = 0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    label = (torch.rand(n, classes, generator=draw) < 0.3).long()
    logits = 2 * torch.randn(n, classes, generator=draw) + 2 * label - 1
    return (torch.round(logits * levels) / levels if levels else logits), label


@pytest.mark.parametrize("levels", [0, 1, 3])
@pytest.mark.parametrize("classes", [2, 7])
def test_scores_are_those_of_sklearn(levels: int, classes: int) -> None:
    logits, label = drawn(60, classes, levels)
    label[:, -1] = 0 if classes > 2 else label[:, -1]  # a class without an image
    unknown = torch.cat([label, torch.full((5, classes), -1)]), torch.cat([logits, torch.randn(5, classes)])
    found = scores(unknown[1], unknown[0])
    there, p = label.any(0), logits.double().sigmoid().numpy()
    y = label.numpy()
    assert found["map"] == pytest.approx(average_precision_score(y[:, there], p[:, there], average="macro"))
    guess = p >= 0.5
    assert found["micro_f1"] == pytest.approx(f1_score(y, guess, average="micro"))
    assert found["macro_f1"] == pytest.approx(f1_score(y[:, there], guess[:, there], average="macro", zero_division=0))
    expected = np.mean([log_loss(y[:, c], p[:, c], labels=[0, 1]) for c in range(classes)])
    assert found["nll"] == pytest.approx(expected)


def test_weights_are_repetitions() -> None:
    logits, label = drawn(30, 3, levels=2)
    times = torch.arange(30) % 4
    again = multilabel.average_precision(logits.repeat_interleave(times, 0), label.repeat_interleave(times, 0))
    assert multilabel.average_precision(logits, label, times.double()).tolist() == pytest.approx(again.tolist())


def test_the_interval_is_that_of_resampled_images() -> None:
    logits, label = drawn(200, 3)
    low, high = multilabel.interval(logits, label)
    draw, found = np.random.default_rng(5), []
    for _ in range(300):
        some = draw.integers(0, 200, 200)
        found.append(average_precision_score(label.numpy()[some], logits.numpy()[some], average="macro"))
    assert [low, high] == pytest.approx(np.quantile(found, [0.025, 0.975]).tolist(), abs=0.012)
    assert multilabel.interval(logits, label) == [low, high], "the same each time"


@pytest.mark.parametrize("levels", [0, 1])
def test_thresholds_are_the_best_of_all(levels: int) -> None:
    logits, label = drawn(40, 4, levels)
    label[:, 3] = 0
    found = multilabel.thresholds({"val": (logits, label), "test": drawn(50, 4, seed=1)})
    p = logits.double().sigmoid().numpy()
    for c, chosen in enumerate(found["thresholds"][:3]):
        every = [f1_score(label[:, c], p[:, c] >= cut) for cut in p[:, c]]
        assert f1_score(label[:, c], p[:, c] >= chosen) == pytest.approx(max(every))
    assert found["thresholds"][3] == 0.5, "no image shows where"
    assert found["images"] == 40
    test, truth = drawn(50, 4, seed=1)
    guess = test.double().sigmoid().numpy() >= np.array(found["thresholds"])
    assert found["micro_f1"] == pytest.approx(f1_score(truth, guess, average="micro"))


def test_pairs_by_hand() -> None:
    """Three images, two classes; nobody knows the last image. Kept: 4 of 6 pairs; said to be there and known: 2."""
    target = torch.tensor([[1.0, 0.0], [1.0, 1.0], [1.0, 0.0]])
    weight = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    truth = torch.tensor([[1, 0], [0, 1], [-1, -1]])
    labels = PseudoLabels(target, weight, torch.tensor([0.9, 0.6, 0.3]))
    found = label_scores(*label_quality(labels, truth).tolist())
    assert found == pytest.approx({"coverage": 4 / 6, "confidence": 0.6, "precision": 1 / 2, "recall": 1 / 2})
    alike = replace(labels, weight=torch.ones(3))  # a method that weighs images
    assert label_scores(*label_quality(alike, truth).tolist())["coverage"] == 1


def bce(z: float, y: float) -> float:
    return -(y * math.log(1 / (1 + math.exp(-z))) + (1 - y) * math.log(1 - 1 / (1 + math.exp(-z))))


@pytest.mark.parametrize(("n", "classes"), [(1, 2), (3, 5), (2, 100)])
def test_losses_are_the_loops(n: int, classes: int) -> None:
    torch.manual_seed(0)
    z, y, w = torch.randn(n, classes).double(), torch.rand(n, classes).double(), torch.rand(n, classes).double()
    pairs = [(i, c) for i in range(n) for c in range(classes)]
    mean = sum(bce(float(z[i, c]), float(y[i, c])) for i, c in pairs) / len(pairs)
    assert cross_entropy(Output(z, z, multilabel=True), y).item() == pytest.approx(mean)
    weighed = sum(float(w[i, c]) * bce(float(z[i, c]), float(y[i, c])) for i, c in pairs) / classes / 7
    assert weighted_ce(z, PseudoLabels(y, w, w[:, 0]), n=7).item() == pytest.approx(weighed)


def test_only_images_with_a_kept_class_are_seen() -> None:
    weight = torch.tensor([[0.0, 1], [0, 0], [1, 1], [0, 0]])
    mixed = Mixed(torch.arange(4.0)[:, None], PseudoLabels(torch.ones(4, 2), weight, torch.ones(4)))
    assert only_kept(mixed).images.flatten().tolist() == [0, 2]
    nothing = replace(mixed, labels=replace(mixed.labels, weight=torch.zeros(4, 2)))
    assert len(only_kept(nothing).images) == 1


def test_three_images_by_hand() -> None:
    """tau 0.8: a class is there from 0.8, is not below 0.2, and is left out between."""
    p = torch.tensor([[0.9, 0.1], [0.7, 0.81], [0.5, 0.3]])
    labeler = registry.load("labeler", "threshold")(setup(classes=2), tau=0.8, smoothing=0.1)
    out = Output(p.logit(), p, multilabel=True)
    found = labeler.label(out, out, {}, STEP)
    assert found.weight.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert found.target.tolist() == [
        [pytest.approx(x) for x in row] for row in [[0.95, 0.05], [0.95, 0.95], [0.95, 0.05]]
    ]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.755, 0.6])


def test_labels_are_smoothed_towards_a_half() -> None:
    stream = Stream({}, torch.arange(2), torch.tensor([[1, 0, 1], [0, 0, 0]]))
    assert Targets(3, smoothing=0.2)(stream, STEP).y.tolist() == [
        [pytest.approx(x) for x in row] for row in [[0.9, 0.1, 0.9], [0.1, 0.1, 0.1]]
    ]
    assert Targets(3)(stream, STEP).y is stream.label


@pytest.mark.parametrize("name", ["supervised", "pseudo_label", "fixmatch", "ema_teacher", "mean_teacher"])
@pytest.mark.parametrize("classes", [2, 100])
def test_a_step_of_each_method(name: str, classes: int) -> None:
    """Loss and gradients are finite with nothing kept, too, and no class pushes another: each logit by itself."""
    network = Tiny(classes)
    network.multilabel = True
    made = algorithm(name, replace(setup(classes=classes), student=network, averaged=network), {"mixer": "none"})
    draw = torch.Generator().manual_seed(1)
    label = (torch.rand(3, classes, generator=draw) < 0.3).long()
    views = {view: torch.randn(3, 3, 4, 4, generator=draw).double() for view in ("weak", "weak2", "strong")}
    batch = {"labeled": Stream(views, torch.arange(3), label), "unlabeled": Stream(views, torch.arange(3))}
    losses = made(batch, STEP)
    assert torch.isfinite(losses.total)
    losses.total.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in made.parameters())
    z = network(views["weak"]).logits.detach()
    pairs = [bce(float(z[i, c]), float(label[i, c])) for i in range(3) for c in range(classes)]
    assert losses.terms["supervised"].item() == pytest.approx(sum(pairs) / len(pairs))


def test_one_forward_of_all_stays_of_several_labels() -> None:
    network = Tiny(3)
    network.multilabel = True
    for out in joint_forward(
        "student", network, STEP, torch.randn(2, 3, 4, 4).double(), torch.randn(1, 3, 4, 4).double()
    ):
        assert out.detach().p.tolist() == out.logits.sigmoid().tolist()


def test_a_probe_is_a_regression_of_each_class() -> None:
    """sklearn's penalty is half as large as that of two rows of weights; z has one scale."""
    torch.manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(80, 6)).double()
    target = (x[:, :3] + 0.3 * torch.randn(80, 3) > 0).long()
    target = torch.cat([target, torch.zeros(80, 1).long(), torch.ones(80, 1).long()], 1)
    weight, bias = logistic.probes(x, target, C=3.0)
    scale = (x - x.mean(0)).square().sum(1).mean().sqrt()
    for c in range(3):
        z = ((x - x.mean(0)) / scale).numpy()
        peer = LogisticRegression(C=3.0 * 2, tol=1e-10, max_iter=10_000).fit(z, target[:, c])
        expected = peer.decision_function(z)
        assert (x @ weight[c] + bias[c]).tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert (weight[3:] == 0).all()
    assert bias[3:].tolist() == [-20, 20]
