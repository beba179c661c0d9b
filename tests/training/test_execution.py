"""`--grad-checkpoint` changes no bit and keeps less; `--compile` changes rounding, and no names."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from sslkit import registry
from sslkit.backbones._timm import Width
from sslkit.errors import UserError
from sslkit.machine import Machine
from sslkit.network import Classifier, Shape
from sslkit.prepare import prepare
from sslkit.randomness import Step
from sslkit.record.stages import stages
from sslkit.training import execution
from sslkit.training.engine import Engine
from sslkit.training.stage import Job, build

SMALL = {
    **{"backbone": "vit_micro", "finetune.steps": 3, "semi.steps": 3, "pretrain.steps": 3, "control.run": False},
    **{"finetune.batch": 4, "semi.batch": 4, "semi.mu": 2, "pretrain.batch": 8, "labeler.tau": 0.2},
    **{"pretrainer.decoder_dim": 32, "pretrainer.decoder_depth": 1, "stages": "pretrain,finetune,semi"},
}
BACKBONES: dict[str, dict[str, Any]] = {
    "vit": {},
    "vit with stochastic depth": {"backbone.drop_path": 0.5},
    "convnext": {"backbone": "timm:convnext_atto", "data.size": 32},
    "resnet": {"backbone": "resnet18", "backbone.drop_path": 0.5},
    "wrn": {"backbone": "wrn_10_1"},
}


def job(stage: str, **also: Any) -> Job:
    request = SMALL | {key.replace("__", "."): value for key, value in also.items()}
    prepared = prepare(request)
    spec = next(s.spec for s in stages(prepared, Machine("cpu", "fp32", 1)) if s.label == stage)
    return build(spec, prepared.images, prepared.split, None)


def trained(made: Job, folder: Path) -> dict[str, Tensor]:
    folder.mkdir()
    Engine(made, folder).train()
    return made.weights()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def kept(made: Job, folder: Path) -> int:
    """Bytes of what a step keeps for its backward pass, of weights and buffers but once."""
    sizes: dict[int, int] = {}
    tensors: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        tensors.append(x)  # so that no place is used again
        sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    folder.mkdir()
    engine = Engine(made, folder)
    engine.algorithm.train()
    batch = made.loader.batch(0, 0)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        engine.run(batch, Step(0, 3, made.spec.draws, 0))
    return sum(sizes.values())


@pytest.mark.parametrize("backbone", ["vit", "vit with stochastic depth", "resnet", "wrn"])
def test_recomputing_changes_no_bit(backbone: str, tmp_path: Path) -> None:
    request = {"stages": "finetune,semi", "pretrainer": None, **BACKBONES[backbone]}
    drop = [key for key in SMALL if key.startswith("pretrainer.")]
    request |= dict.fromkeys(drop)
    plain, again = (job("semi", grad_checkpoint=on, **request) for on in (False, True))
    assert again.spec.training["grad_checkpoint"]
    assert again.spec.key == plain.spec.key
    assert same(trained(plain, tmp_path / "plain"), trained(again, tmp_path / "again"))


def test_masked_pre_training_too(tmp_path: Path) -> None:
    plain, again = (job("pretrain", grad_checkpoint=on) for on in (False, True))
    assert same(trained(plain, tmp_path / "plain"), trained(again, tmp_path / "again"))


@pytest.mark.parametrize("stage", ["pretrain", "semi"])
def test_less_is_kept(stage: str, tmp_path: Path) -> None:
    plain, again = (kept(job(stage, grad_checkpoint=on), tmp_path / str(on)) for on in (False, True))
    assert again < 0.75 * plain


@pytest.mark.parametrize("name", ["vit_micro", "resnet18", "convnext_tiny", "wrn_28_2", "timm:vit_tiny_patch16_224"])
def test_the_blocks_are_most_of_the_network(name: str) -> None:
    cls = registry.load("backbone", name)
    extra = {"model": name.partition(":")[2]} if ":" in name else {}
    network: Classifier = cls(Shape(32, 10), **extra)
    blocks = nn.ModuleList(network.stack())
    inside, whole = (sum(p.numel() for p in module.parameters()) for module in (blocks, network))
    assert 0.8 * whole < inside < whole


def test_a_network_without_blocks_is_one_line() -> None:
    with pytest.raises(UserError, match="'timm:resnet10t' does not say which blocks"):
        job("finetune", backbone="timm:resnet10t", grad_checkpoint=True, stages="finetune", **NO_PRETRAINER)


NO_PRETRAINER = {key.replace(".", "__"): None for key in SMALL if key.startswith("pretrainer.")}
ONE_BLOCK = Width(16, 1, 2)  # of a ViT that is compiled, which takes long
compiles = pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")


@pytest.mark.slow
@compiles
@pytest.mark.parametrize(("stage", "grad_checkpoint"), [("pretrain", False), ("semi", False), ("semi", True)])
def test_compiled_networks_learn_the_same(
    stage: str, grad_checkpoint: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry.load("backbone", "vit_micro"), "width", ONE_BLOCK)
    plain, fast = (job(stage, compile=on, grad_checkpoint=grad_checkpoint and on) for on in (False, True))
    assert plain.spec.key != fast.spec.key
    one = trained(plain, tmp_path / "plain")
    counters.clear()
    other = trained(fast, tmp_path / "fast")
    assert counters["frames"]["ok"] > 0, "something was compiled"
    assert one.keys() == other.keys(), "names are as without"
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-3


def test_every_network_of_a_process_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch keeps eight graphs of one function, and networks of one class share theirs."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    execution.make_room()
    for classes in range(2, 12):
        network = registry.load("backbone", "wrn_10_1")(Shape(8, classes))
        execution.compile_network(network)
        counters.clear()
        network(torch.zeros(2, 3, 8, 8))
        assert counters["frames"]["ok"] == 1, f"{classes} classes"


def test_compiling_wants_batches_of_one_size() -> None:
    with pytest.raises(UserError, match="skip_rejected=on gives batches of any size"):
        job("semi", compile=True, semi__skip_rejected="on")


def test_without_a_compiler_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nin many lines")

    monkeypatch.setattr(torch, "compile", broken)
    execution.check_compiler.cache_clear()
    with pytest.raises(UserError, match=r"No working C\+\+ compiler found\); it needs a C\+\+ compiler") as caught:
        job("semi", compile=True)
    assert "\n" not in str(caught.value)
    execution.check_compiler.cache_clear()
