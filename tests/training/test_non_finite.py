"""A loss that is not a number stops the stage, names the step and the term, and changes no weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.contracts import Batch, Losses
from sslkit.errors import UserError
from sslkit.randomness import Step
from sslkit.store import checkpoint
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from tests.kernel.make import engine


def planted(folder: Path, step: int, how: str = "loss", **options: Any) -> Engine:
    """A supervised stage whose loss or gradient is spoilt at one step."""
    made = engine(folder, algo="supervised", semi__steps=40)
    for name, value in options.items():
        setattr(made, name, value)
    forward = made.algorithm.forward

    def spoilt(batch: Batch, at: Step) -> Losses:
        losses = forward(batch, at)
        if at.index == step and how == "loss":
            losses.terms["supervised"] = losses.terms["supervised"] * float("nan")
        elif at.index == step:
            losses.terms["supervised"].register_hook(lambda gradient: gradient * float("inf"))
        return losses

    made.algorithm.forward = spoilt  # type: ignore[method-assign, assignment]
    return made


@pytest.mark.parametrize("step", [0, 7, 23])
def test_the_step_and_the_term_are_named(step: int, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        planted(tmp_path, step).train()
    text = str(caught.value)
    assert f"at step {step};" in text
    assert "'supervised'" in text
    assert "semi.lr" in text
    assert "no checkpoint was written before" in text


def test_a_gradient_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the gradient is not finite at step 7"):
        planted(tmp_path, 7, "gradient").train()


def test_the_last_good_checkpoint_is_named_and_good(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        planted(tmp_path, 23, save_every=0.0).train()
    assert "checkpoint-000000020.safetensors" in str(caught.value)
    tensors, about = checkpoint.load(tmp_path / "checkpoint-000000020.safetensors")
    assert about["step"] == 20
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("how", ["loss", "gradient"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_weights_and_averages_are_frozen_from_there(how: str, optimizer: str, tmp_path: Path) -> None:
    made = planted(tmp_path, 2, how)
    if optimizer == "sgd":
        groups = [{"params": list(made.algorithm.parameters()), "scale": 1.0}]
        made.optimizers = {"main": torch.optim.SGD(groups, 0.1, momentum=0.9, fused=True)}
    log = Log(tmp_path, 0, 0)
    made.step(0, log)
    made.step(1, log)
    before = {n: t.clone() for n, t in made.algorithm.student.state_dict().items()}
    for index in (2, 3, 4):
        made.step(index, log)
    after = made.algorithm.student.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert all(t.isfinite().all() for t in made.average.network.state_dict().values())


def test_an_untouched_stage_does_train(tmp_path: Path) -> None:
    made = planted(tmp_path, 99)
    before = {n: t.clone() for n, t in made.algorithm.student.state_dict().items()}
    made.step(0, Log(tmp_path, 0, 0))
    after = made.algorithm.student.state_dict()
    assert any(not torch.equal(after[name], tensor) for name, tensor in before.items())
