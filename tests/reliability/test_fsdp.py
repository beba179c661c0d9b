"""`--fsdp`: processes that keep shards are processes that keep everything, to rounding; what they store is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sslkit.config.resolve import read_toml
from sslkit.machine import Machine
from sslkit.prepare import prepare
from sslkit.record.stages import stages as stages_of
from sslkit.store import checkpoint
from sslkit.training.optim import optimizer, restore_optimizers
from sslkit.training.stage import build
from tests.reliability.small import SMALL, checkpoints, leftovers, one_line, small, stages
from tests.reliability.test_torchrun import FLEXMATCH, accumulate, alone, furthest, torchrun

pytestmark = pytest.mark.usefixtures("shipped")
EMA = ("--algo", "ema_teacher", "--set", "finetune.clip=0.5", "--set", "semi.clip=0.5")
MAE: tuple[str, ...] = ("--stages", "pretrain,finetune,semi", "--set", "pretrain.steps=4", "--set", "pretrain.batch=8")
MAE += ("--set", "pretrainer.decoder_dim=32", "--set", "pretrainer.decoder_depth=1")
TOLERANCE = 1e-5  # of weights after 30 steps
BY_ADAMW = 1e-4  # which divides gradients near 0, where they are rounding alone, by their own size: 2e-5 on AVX2


@pytest.mark.slow
def test_shards_are_what_one_process_has(root, monkeypatch):
    """Pre-training, a teacher, clipping, micro-batches, recomputed blocks, an evaluation that does not divide."""
    arguments = (*FLEXMATCH, *EMA, *MAE, "--set", "pretrain.optimizer=sgd")
    ended = torchrun(root / "2", *arguments, *accumulate(2), "--fsdp", "--grad-checkpoint")
    assert ended.codes == [0, 0], ended.err
    alone(root / "1", monkeypatch, *arguments, *accumulate(4), "--set", "pretrain.accumulate=2")
    assert [*stages(root / "2")] == ["pretrain", "finetune", "semi"]
    assert 0 < furthest(root / "1", root / "2") < TOLERANCE
    assert furthest(root / "1", root / "2", "predictions") < 10 * TOLERANCE
    assert ended.out[1] == ended.err[1] == ""
    assert not leftovers(root / "2")


@pytest.mark.slow
def test_statistics_of_batches(root, monkeypatch):
    arguments = (*FLEXMATCH, "--algo", "ema_teacher", "--backbone", "wrn_10_1")
    ended = torchrun(root / "2", *arguments, "--fsdp")
    assert ended.codes == [0, 0], ended.err
    alone(root / "1", monkeypatch, *arguments, *accumulate(2))
    assert furthest(root / "1", root / "2") < TOLERANCE


@pytest.mark.slow
def test_stopped_gone_on_with_and_read_by_one_process(root, monkeypatch):
    """With AdamW. A checkpoint has the names, shapes and values that a process with everything reads."""
    quiet, arguments = root / "quiet", (*SMALL, "--fsdp")
    assert torchrun(quiet, *arguments).codes == [0, 0]
    alone(root / "1", monkeypatch, *SMALL, *accumulate(2))
    assert furthest(root / "1", quiet) < BY_ADAMW
    ended = torchrun(root / "runs", *arguments, fault="1:12:stop")
    assert ended.codes == [130, 130], ended.err
    last = checkpoints(root / "runs", "semi")[-1]
    tensors, about = checkpoint.load(last)
    assert about["step"] == 20

    prepared = prepare(read_toml(next((root / "runs").glob("*/config.toml"))) | {"fsdp": False})
    spec = stages_of(prepared, Machine("cpu", "fp32", 1))[-1].spec
    job = build(spec, prepared.images, prepared.split, None)
    job.restore(tensors)
    optimizers = {"main": optimizer(job.algorithm, job.algorithm.student, spec.training)}
    restore_optimizers(optimizers, tensors)
    for name, tensor in job.weights().items():
        assert tensor.equal(tensors[name]), name
    first = next(iter(optimizers["main"].state.values()))
    assert first["exp_avg"].equal(tensors["optimizer.main.0.exp_avg"])

    ended = torchrun(root / "runs", *arguments)
    assert ended.codes == [0, 0], ended.err
    assert "semi goes on from step 20" in ended.err[0]
    assert furthest(root / "runs", quiet) == furthest(root / "runs", quiet, "predictions") == 0


@pytest.mark.slow
def test_four_shards_of_what_does_not_divide(root):
    """Four processes: a class token of one row, a head of ten."""
    arguments = (*FLEXMATCH, "--set", "semi.batch=8")
    assert torchrun(root / "4", *arguments, "--fsdp", world=4).codes == [0] * 4
    assert torchrun(root / "2", *arguments, *accumulate(2)).codes == [0, 0]
    assert furthest(root / "4", root / "2") < TOLERANCE
    keys = [json.loads(next((root / w).glob("*/run.json")).read_text())["stages"]["semi"] for w in "42"]
    assert keys[0] != keys[1]


@pytest.mark.parametrize(("arguments", "words"), [((), "there is one process"), (("--compile",), "one process")])
def test_one_process_has_no_shards(arguments: tuple[str, ...], words: str, root: Path, capsys) -> None:
    assert small(root, "--fsdp", *arguments) == 2
    assert words in one_line(capsys.readouterr().err)
    assert not list(root.glob("*-*"))
