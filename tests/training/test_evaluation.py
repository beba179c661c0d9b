"""Scores against scikit-learn and against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from sslkit.contracts import PseudoLabels
from sslkit.data import UNKNOWN
from sslkit.training.evaluation import calibration_error, in_halves, label_quality, label_scores, scores

CASES = [(400, 10, 0), (50, 2, 1), (300, 6, 2), (7, 5, 3), (1, 3, 4)]


def guesses(n: int, classes: int, seed: int) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(seed)
    label = torch.randint(0, classes, (n,), generator=made)
    logits = torch.randn(n, classes, generator=made) * 3
    logits[torch.arange(n), label] += 1.5
    return logits, label


@pytest.mark.parametrize(("n", "classes", "seed"), CASES)
def test_scores_against_scikit_learn(n: int, classes: int, seed: int) -> None:
    logits, label = guesses(n, classes, seed)
    found = scores(logits, label)
    p = logits.double().softmax(1).numpy()
    guess, names = p.argmax(1), list(range(classes))
    assert found["top1"] == pytest.approx(metrics.accuracy_score(label, guess))
    assert found["nll"] == pytest.approx(metrics.log_loss(label, p, labels=names))
    present = np.unique(label)
    f1 = metrics.f1_score(label, guess, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(f1)
    assert ("top5" in found) == (classes > 5)
    if classes > 5:
        assert found["top5"] == pytest.approx(metrics.top_k_accuracy_score(label, p, k=5, labels=names))


@pytest.mark.parametrize(("n", "classes", "seed"), CASES)
def test_calibration_error_by_a_loop(n: int, classes: int, seed: int) -> None:
    logits, label = guesses(n, classes, seed)
    confidence, guess = logits.double().softmax(1).max(1)
    expected = 0.0
    for low in range(15):
        inside = [i for i in range(n) if low / 15 < float(confidence[i]) <= (low + 1) / 15]
        if inside:
            accuracy = sum(float(guess[i] == label[i]) for i in inside) / len(inside)
            mean = sum(float(confidence[i]) for i in inside) / len(inside)
            expected += len(inside) / n * abs(accuracy - mean)
    assert calibration_error(confidence, guess == label) == pytest.approx(expected)
    assert scores(logits, label)["ece"] == pytest.approx(expected)


def test_bins_of_calibration_are_told_apart() -> None:
    """One image a bin, right in every other one: merged bins would cancel."""
    confidence = (torch.arange(15).double() + 0.5) / 15
    right = torch.arange(15) % 2 == 0
    assert calibration_error(confidence, right) == pytest.approx(float((right.double() - confidence).abs().mean()))


def test_calibration_error_at_its_ends() -> None:
    sure = torch.ones(4)
    assert calibration_error(sure, torch.ones(4, dtype=torch.bool)) == 0.0
    assert calibration_error(sure, torch.zeros(4, dtype=torch.bool)) == 1.0


def test_images_without_a_label_are_left_out() -> None:
    logits, label = guesses(60, 10, 5)
    hidden = label.clone()
    hidden[::3] = -1
    seen = hidden >= 0
    assert scores(logits, hidden) == scores(logits[seen], label[seen])


def test_classes_without_an_image_do_not_enter_f1() -> None:
    logits = torch.eye(4)[[0, 1, 1]] * 5
    assert scores(logits, torch.tensor([0, 1, 1]))["macro_f1"] == 1.0


def test_extreme_logits_stay_finite() -> None:
    found = scores(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), torch.tensor([0, 0]))
    assert all(math.isfinite(value) for value in found.values())


def test_pseudo_labels_against_the_hidden_truth_by_a_loop() -> None:
    made = torch.Generator().manual_seed(0)
    target = torch.rand(50, 4, generator=made).softmax(1)
    weight = (torch.rand(50, generator=made) - 0.4).clamp_min(0)
    confidence = torch.rand(50, generator=made)
    truth = torch.randint(-2, 4, (50,), generator=made)
    known = kept = judged = right = strange = taken = 0
    total = 0.0
    for i in range(50):
        total += float(confidence[i])
        kept += int(weight[i] > 0)
        if truth[i] >= 0:
            known += 1
            if weight[i] > 0:
                judged += 1
                right += int(target[i].argmax() == truth[i])
        if truth[i] == UNKNOWN:
            strange += 1
            taken += int(weight[i] > 0)
    found = label_quality(PseudoLabels(target, weight, confidence), truth)
    assert found.tolist() == pytest.approx([50, kept, known, judged, right, strange, taken, total])
    shown = label_scores(*found.tolist())
    assert shown["coverage"] == pytest.approx(kept / 50)
    assert shown["precision"] == pytest.approx(right / judged)
    assert shown["recall"] == pytest.approx(right / known)
    assert shown["unknown"] == pytest.approx(taken / kept)
    assert shown["confidence"] == pytest.approx(total / 50)
    assert kept > judged + taken > judged


def test_no_known_or_no_kept_label() -> None:
    assert label_scores(10, 4, 0, 0, 0, 0, 0, 5.0) == {"coverage": 0.4, "confidence": 0.5}
    nothing = label_scores(10, 0, 9, 0, 0, 1, 0, 3.0)
    assert math.isnan(nothing["precision"])
    assert math.isnan(nothing["unknown"])
    assert (nothing["coverage"], nothing["recall"]) == (0, 0)


@pytest.mark.parametrize("fits", [1, 3, 16, 37, 100])
def test_a_batch_that_does_not_fit_is_halved_and_gives_the_same(fits: int) -> None:
    images, sizes = torch.arange(37.0)[:, None].repeat(1, 2), []

    def predict(part: Tensor) -> Tensor:
        sizes.append(len(part))
        if len(part) > fits:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")
        return 2 * part

    assert torch.equal(in_halves(predict, images), 2 * images)
    assert sum(size for size in sizes if size <= fits) == 37


def test_other_errors_and_what_never_fits_are_passed_on() -> None:
    def wrong(part: Tensor) -> Tensor:
        raise RuntimeError("shapes do not fit")

    def full(part: Tensor) -> Tensor:
        raise MemoryError

    with pytest.raises(RuntimeError, match="shapes"):
        in_halves(wrong, torch.zeros(8, 2))
    with pytest.raises(MemoryError):
        in_halves(full, torch.zeros(8, 2))
    with pytest.raises(MemoryError):
        in_halves(full, torch.zeros(8, 2), whole=8)
