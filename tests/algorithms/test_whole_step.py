"""Whole steps of the engine, in float64, against the same training written out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.backbones._timm import TimmClassifier
from sslkit.backbones._wrn import WideResNet
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.contracts import Losses
from sslkit.training.engine import Engine
from tests.algorithms.classic import Terms
from tests.algorithms.make import Small, gradient, job
from tests.algorithms.plain import Plain

CASES: dict[str, dict[str, Any]] = {
    "supervised": {"algo": "supervised", "semi.clip": 0.5},
    "fixmatch": {"algo": "fixmatch", "labeler.tau": 0.5, "semi.skip_rejected": "off"},
    "fixmatch, skipping": {"algo": "fixmatch", "labeler.tau": 0.5, "semi.skip_rejected": "on"},
    "fixmatch, two micro-batches": {"algo": "fixmatch", "labeler.tau": 0.5, "semi.accumulate": 2, "semi.clip": 0.5},
    "fixmatch, drop path": {"algo": "fixmatch", "labeler.tau": 0.5, "backbone.drop_path": 0.3},
    "fixmatch, wrn": {"algo": "fixmatch", "labeler.tau": 0.28, "backbone": "wrn_10_1"},
    "fixmatch, wrn, joint": {"algo": "fixmatch", "labeler.tau": 0.28, "backbone": "wrn_10_1", "algo.joint": True},
    "flexmatch": {"algo": "flexmatch", "labeler.tau": 0.7, "semi.mu": 20, "labeler.warmup": False},
    "ema_teacher": {"algo": "ema_teacher", "labeler.tau": 0.5, "semi.mu": 3},
    "ema_teacher, unbiased": {"algo": "ema_teacher", "labeler.tau": 0.5, "semi.mu": 3, "mixer.box": "unbiased"},
    "ema_teacher, own decay": {"algo": "ema_teacher", "labeler.tau": 0.5, "semi.mu": 3, "teacher.decay": 0.5},
    "ema_teacher, accumulating": {"algo": "ema_teacher", "labeler.tau": 0.5, "semi.mu": 3, "semi.accumulate": 4},
    "ema_teacher, wrn": {"algo": "ema_teacher", "labeler.tau": 0.2, "backbone": "wrn_10_1", "eval.buffers": "copy"},
    "mean_teacher": {"algo": "mean_teacher"},
    "mean_teacher, wrn": {"algo": "mean_teacher", "backbone": "wrn_10_1"},
    "pseudo_label": {"algo": "pseudo_label", "labeler.tau": 0.5},
    "pi_model, drop path": {"algo": "pi_model", "backbone.drop_path": 0.3},
    "vat, drop path": {"algo": "vat", "backbone.drop_path": 0.3},
    "ict": {"algo": "ict"},
    "mixmatch": {"algo": "mixmatch"},
    "pseudo_label, wrn": {"algo": "pseudo_label", "labeler.tau": 0.28, "backbone": "wrn_10_1"},
    "pi_model, wrn": {"algo": "pi_model", "backbone": "wrn_10_1"},
    "vat, wrn": {"algo": "vat", "backbone": "wrn_10_1"},
    "ict, wrn": {"algo": "ict", "backbone": "wrn_10_1"},
    "mixmatch, wrn": {"algo": "mixmatch", "backbone": "wrn_10_1"},
}


class Recorder(Engine):
    """The engine, with what it gave at every step kept."""

    gradients: list[dict[str, Tensor]]
    losses: list[Sequence[Losses]]

    def update(self, name: str = "main") -> None:
        self.gradients.append({n: gradient(p).clone() for n, p in self.algorithm.student.named_parameters()})
        super().update(name)

    def add(self, losses: Sequence[Losses], norm: Tensor, truth: Sequence[Tensor | None]) -> None:
        """Stands in for the log."""
        self.losses.append(losses)


@pytest.fixture(autouse=True)
def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small networks that compute in float64: AdamW divides by tiny gradients, which rounding must not decide."""
    monkeypatch.setattr(ViTMicro, "width", Small.width)
    for cls in (TimmClassifier, WideResNet):
        single = cls.forward
        monkeypatch.setattr(cls, "forward", lambda self, x, single=single: single(self, x.double()))


def unrounded(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images and logits are float64, too: VAT takes the difference of two predictions that are nearly equal."""
    given, cls = made.loader.batch, type(made.algorithm.student)
    single = cls.forward

    def forward(self: Any, images: Tensor) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "float", Tensor.double)
            return single(self, images)

    def batch(index: int, k: int) -> Any:
        streams = given(index, k).items()
        return {name: replace(s, views={v: x.double() for v, x in s.views.items()}) for name, s in streams}

    monkeypatch.setattr(cls, "forward", forward)
    monkeypatch.setattr(made.loader, "batch", batch)


@pytest.mark.parametrize("case", CASES)
def test_engine_is_the_training_written_out(case, tmp_path, monkeypatch):
    made = job({"semi.steps": 4, "semi.lr": 2e-3, **CASES[case]})
    if CASES[case]["algo"] == "vat":
        unrounded(made, monkeypatch)
    spread(made.algorithm.student, made.average.network)
    for module in made.algorithm.modules():
        if isinstance(module, Average) and module is not made.average:
            module.network.load_state_dict(made.average.network.state_dict())
    made.algorithm.double()
    made.average.double()
    networks = copy.deepcopy(made.algorithm.student), copy.deepcopy(made.average.network)
    plain = Plain(made.spec, *networks, len(made.pixels.get("unlabeled", ())))
    engine = Recorder(made, tmp_path)
    engine.gradients, engine.losses = [], []
    made.algorithm.train()
    kept: list[float] = []
    for index in range(made.spec.training["steps"]):
        engine.step(index, engine)  # type: ignore[arg-type]
        batches = [made.loader.batch(index, k) for k in range(made.spec.training["accumulate"])]
        terms, gradients = plain.step(index, batches)
        same_losses(engine.losses[-1], terms)
        same(engine.gradients[-1], gradients, 1e-4)
        same(made.algorithm.student.state_dict(), plain.student.state_dict(), 1e-4, apart=1e-4)
        same(made.average.network.state_dict(), plain.averaged.state_dict(), 1e-4, apart=1e-4)
        if plain.teacher is not None:
            teacher = made.algorithm.networks()["teacher"]
            same(teacher.state_dict(), plain.teacher.state_dict(), 1e-4, apart=1e-4)
        kept += [w for losses in engine.losses[-1] if losses.labels for w in losses.labels.weight.tolist()]
    if "labeler" in made.spec.parts:
        assert 0 in kept  # else the case shows less than it should
        assert 1 in kept


def spread(student: Any, averaged: Any) -> None:
    """Predictions far from uniform, and a teacher that is another network than the student."""
    torch.manual_seed(0)
    with torch.no_grad():
        for net in (student, averaged):
            head = net.model.head if hasattr(net, "model") else net.head
            head.weight *= 16 if hasattr(net, "model") else 2
            for p in net.parameters():
                p.add_(torch.randn_like(p), alpha=0.02)


def same_losses(found: Sequence[Losses], expected: Sequence[Terms]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert list(mine.terms) == list(theirs)
        for name, term in mine.terms.items():
            assert term.item() == pytest.approx(theirs[name].item(), rel=1e-5, abs=1e-7)


def same(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float, apart: float = 0.0) -> None:
    """Agreement, relative to the largest element of a tensor.

    Args:
        apart: share of elements that may differ: AdamW divides a gradient by itself, however small it is.
    """
    assert list(found) == list(expected)
    for name, value in found.items():
        difference = (value - expected[name]).abs()
        wrong = difference > tolerance * expected[name].abs().max() + 1e-9
        assert wrong.double().mean().item() <= apart, f"{name} differs by {difference.max():.3g}"
