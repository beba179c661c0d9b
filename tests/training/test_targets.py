"""What becomes of labels, and of labelled images, against timm's Mixup and a closed form."""

from __future__ import annotations

import math

import pytest
import torch
from timm.data import mixup as timm_mixup
from torch import Tensor

from sslkit.blend import BetaRatio
from sslkit.contracts import Stream
from sslkit.randomness import Step
from sslkit.training.loader import Targets

C = 4


def stream(n: int = 6) -> Stream:
    images = torch.randn(n, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Stream({"weak": images}, torch.arange(n), torch.arange(n) % C)


def test_plain_labels_stay_as_they_are() -> None:
    made = stream()
    assert Targets(C)(made, Step(0, 1, 0)) is made
    assert made.y is made.label


def test_unlabelled_images_are_left_alone() -> None:
    made = Stream({"weak": torch.zeros(2, 3, 4, 4)}, torch.arange(2))
    assert Targets(C, 0.1, 0.8, 1.0)(made, Step(0, 1, 0)) is made


def test_smoothing_is_the_closed_form() -> None:
    made = Targets(C, 0.1)(stream(), Step(0, 1, 0))
    expected = torch.full((6, C), 0.1 / C)
    expected[torch.arange(6), torch.arange(6) % C] = 0.9 + 0.1 / C
    torch.testing.assert_close(made.y, expected)
    assert made.views["weak"] is stream().views["weak"] or torch.equal(made.views["weak"], stream().views["weak"])
    logits = torch.randn(6, C)
    assert made.label is not None
    ours = torch.nn.functional.cross_entropy(logits, made.y)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, made.label, label_smoothing=0.1))


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
@pytest.mark.parametrize("n", [6, 5])
def test_mixing_is_timms(mixup: float, cutmix: float, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """timm's own code, fed with our ratio, our choice and our box; its batches must be even, ours need not be."""
    for index in range(12):
        step = Step(index, 12, 3)
        made = Targets(C, 0.1, mixup, cutmix)(stream(n), step)
        choice = 0.5 if mixup and cutmix else float(cutmix > 0)
        lam, cut, u = BetaRatio(mixup or 1, cutmix or 1, choice).draw(n, step, torch.device("cpu"), "labeled")
        if n % 2:
            assert torch.allclose(made.y.sum(1), torch.ones(n))
            continue
        expected, target = by_timm(monkeypatch, float(lam[0]), bool(cut[0]), u[:, 0])
        torch.testing.assert_close(made.views["weak"], expected)
        torch.testing.assert_close(made.y, target)


def by_timm(monkeypatch: pytest.MonkeyPatch, lam: float, cut: bool, u: Tensor) -> tuple[Tensor, Tensor]:
    """timm's Mixup with the box of its version 0.4.5, which Semi-ViT pins: sides are rounded down to even numbers."""

    def box(shape: tuple[int, ...], wanted: float, **_: object) -> tuple[int, ...]:
        edges = []
        for length, at in zip(shape[-2:], u[:2].tolist(), strict=True):
            half, centre = int(length * math.sqrt(1 - wanted)) // 2, int(at * length)
            edges += [max(centre - half, 0), min(centre + half, length)]
        return tuple(edges)

    mixer = timm_mixup.Mixup(mixup_alpha=1.0, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=C)
    monkeypatch.setattr(mixer, "_params_per_batch", lambda: (lam, cut))
    monkeypatch.setattr(timm_mixup, "rand_bbox", box)
    made = stream()
    return mixer(made.views["weak"].clone(), made.label)


def test_both_kinds_of_mixing_occur_and_each_batch_has_one_ratio() -> None:
    kinds = set()
    for index in range(40):
        made = Targets(C, 0.0, 0.8, 1.0)(stream(), Step(index, 40, 0))
        other = made.views["weak"] != stream().views["weak"]
        kinds.add(bool(other.all()))
        share = made.y.amax(1)
        mixed = (torch.arange(6) % C) != (torch.arange(6) % C).flip(0)
        assert (share[mixed] - share[mixed][0]).abs().max() < 1e-6
    assert kinds == {True, False}
