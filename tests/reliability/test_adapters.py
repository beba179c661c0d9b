"""LoRA and AdaptFormer in the place of all weights: every algorithm, teacher and mixer; what is stored; going on."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit import registry
from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.errors import Stopped, UserError
from sslkit.network import Classifier
from sslkit.store import bases, checkpoint
from sslkit.training.engine import Engine
from sslkit.training.log import Log
from sslkit.training.stage import Job
from tests.reliability.jobs import ALGORITHMS, STEPS, job, train
from tests.reliability.test_resume import ODD, stop_after
from tests.training.test_execution import ONE_BLOCK, compiles

INSERTS = ["lora", "adaptformer"]
RECOMPUTED: list[dict[str, Any]] = [{}, {"grad_checkpoint": True}]
COMPILED: list[dict[str, Any]] = [{}, {"compile": True}]
SLOTS = {name: registry.load("algorithm", name).slots for name in ALGORITHMS}
TEACHERS, MIXERS = ([e.name for e in registry.entries(kind) if e.origin == "built in"] for kind in ("teacher", "mixer"))
OTHERS = {"teacher": TEACHERS, "mixer": MIXERS}
VARIED = {name: sorted(SLOTS[name].keys() & OTHERS.keys()) for name in ALGORITHMS}  # in one order in every process
CASES = [
    (name, dict(zip(VARIED[name], chosen, strict=True)))
    for name in ALGORITHMS
    for chosen in product(*(OTHERS[slot] for slot in VARIED[name]))
]
SECOND = ("ema_teacher", {"teacher": "ema", "teacher__decay": 0.7})  # an average that is not the one that is reported
OFTEN = [SECOND, *((n, also) for n, also in CASES if also == {slot: SLOTS[n][slot] for slot in also})]  # as they come
EVERY = [*OFTEN, *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES if case not in OFTEN)]


def steps(made: Job, folder: Path) -> Engine:
    """Two steps of a stage."""
    engine, log = Engine(made, folder), Log(folder, 0, 0)
    made.algorithm.train()
    for index in range(2):
        engine.step(index, log)
    log.close()
    return engine


@pytest.mark.parametrize("adapter", INSERTS)
@pytest.mark.parametrize(("algorithm", "also"), EVERY, ids=str)
def test_every_algorithm_teacher_and_mixer(algorithm: str, also: dict[str, Any], adapter: str, tmp_path: Path) -> None:
    """Steps move what trains alone; no network has weights of its own in the place of frozen ones."""
    torch.set_num_threads(1)
    made = job(algorithm, adapt=adapter, **also)
    student = made.algorithm.student
    before = {n: p.clone() for n, p in student.named_parameters()}
    engine = steps(made, tmp_path)
    moved = {n for n, p in student.named_parameters() if not torch.equal(p, before[n])}
    assert moved == before.keys() - student.frozen
    held = [p for o in engine.optimizers.values() for group in o.param_groups for p in group["params"]]
    assert {id(p) for n, p in student.named_parameters() if n in moved} == {id(p) for p in held}
    networks = {
        id(m): m for part in (made.algorithm, made.average) for m in part.modules() if isinstance(m, Classifier)
    }
    assert len(networks) >= 2
    for network in networks.values():
        assert all(
            p is dict(student.named_parameters())[n] for n, p in network.named_parameters() if n in student.frozen
        )
    stored = made.weights()
    assert not {n for n in stored if n.endswith(tuple(f".{name}" for name in student.frozen))}
    places = [t.data_ptr() for t in stored.values() if t.numel()]
    assert len(set(places)) == len(places)


def test_what_is_stored_is_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second average, a labeler's memory: put back into another stage's networks they are the same, to the bit."""
    monkeypatch.setattr(ViTMicro, "width", Width(dim=128, depth=4, heads=4))  # of which an adapter is a small part
    torch.set_num_threads(1)
    keys: dict[str, Any] = {"adapt": "lora", "teacher": "ema", "teacher__decay": 0.7}
    folder = tmp_path / "stages" / ".k"
    file = train(job("flexmatch", **keys), folder)
    stored, about = checkpoint.load(file)
    whole, _ = bases.load(file)
    fresh = job("flexmatch", seed=1, **keys)
    frozen = fresh.algorithm.student.frozen
    assert whole.keys() - stored.keys() == {p + n for p in ("student.", "averaged.") for n in frozen}
    fresh.restore(whole)
    again = fresh.weights()
    assert all(torch.equal(t, stored[n]) for n, t in again.items())
    assert again.keys() == {n for n in stored if not n.startswith("optimizer.")}
    assert bases.base_of(folder) == about["frozen"] == fresh.keep(folder)["frozen"]
    assert file.stat().st_size < 0.15 * bases.base_file(folder, about["frozen"]).stat().st_size


GOING_ON = [
    ("flexmatch", "vit_micro", "lora", {"adapt__dropout": 0.1}),
    pytest.param("ema_teacher", "vit_micro", "adaptformer", {"grad_checkpoint": True}, marks=pytest.mark.slow),
    pytest.param("mean_teacher", "wrn_10_1", "norm", {}, marks=pytest.mark.slow),
    pytest.param("ema_teacher", "vit_micro", "lora", {"compile": True}, marks=[pytest.mark.slow, compiles]),
    pytest.param("fixmatch", "vit_micro", "adaptformer", {"compile": True}, marks=[pytest.mark.slow, compiles]),
]


def equal(one: Path, other: Path) -> bool:
    mine, theirs = (checkpoint.load(path)[0] for path in (one, other))
    assert mine.keys() == theirs.keys()
    return all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())


@pytest.mark.parametrize(("algorithm", "backbone", "adapter", "also"), GOING_ON)
def test_going_on_is_exact(
    algorithm: str, backbone: str, adapter: str, also: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    if "compile" in also:
        monkeypatch.setattr(ViTMicro, "width", ONE_BLOCK)
    keys = {"adapt": adapter, "semi__accumulate": 2, **also}
    quiet = train(job(algorithm, backbone, **keys), tmp_path / "quiet" / "stages" / ".k")
    place = tmp_path / "stopped" / "stages" / ".k"
    with pytest.raises(Stopped, match=f"after step {ODD} of {STEPS}"):
        train(job(algorithm, backbone, **keys), place, stop=stop_after(ODD))
    torch.manual_seed(12345)
    resumed = train(job(algorithm, backbone, **keys), place)
    for other in ("weights.safetensors", "predictions.safetensors"):
        assert (quiet.parent / other).read_bytes() == (resumed.parent / other).read_bytes(), other
    assert equal(quiet, resumed)


@pytest.mark.parametrize("adapter", INSERTS)
def test_recomputed_blocks_give_the_same_bits(adapter: str, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    one, other = (job("fixmatch", adapt=adapter, **also) for also in RECOMPUTED)
    for made in (one, other):
        steps(made, tmp_path)
    theirs = other.weights()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in one.weights().items())


@compiles
@pytest.mark.slow
@pytest.mark.parametrize("adapter", INSERTS)
def test_compiled_networks_change_rounding_alone(adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without dropout: what is compiled draws other numbers for it."""
    torch.set_num_threads(1)
    monkeypatch.setattr(ViTMicro, "width", ONE_BLOCK)
    plain: dict[str, Any] = {
        "adapt": adapter,
        "adapt__dropout": 0.0,
        "semi__skip_rejected": "off",
        "semi__optimizer": "sgd",
    }
    stored = [
        checkpoint.load(
            train(
                job("fixmatch", **plain, **also),
                tmp_path / str(i) / "stages" / ".k",
            )
        )[0]
        for i, also in enumerate(COMPILED)
    ]
    assert stored[0].keys() == stored[1].keys()
    assert all(torch.allclose(t, stored[1][n], atol=1e-4) for n, t in stored[0].items())


def stopped(folder: Path) -> tuple[Path, Path]:
    """The working folder of a stage that was stopped, and the file of its frozen weights."""
    place = folder / "stages" / ".k"
    with pytest.raises(Stopped):
        train(job("supervised", adapt="lora"), place, stop=stop_after(ODD))
    return place, bases.base_file(place, json.loads((place / "frozen.json").read_text())["frozen"])


def test_frozen_weights_that_are_gone_are_written_again(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    place, base = stopped(tmp_path)
    before = base.read_bytes()
    base.unlink()
    train(job("supervised", adapt="lora"), place)
    assert base.read_bytes() == before


def test_frozen_weights_that_are_damaged_are_named_in_a_line(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    place, base = stopped(tmp_path)
    data = bytearray(base.read_bytes())
    data[-1] ^= 1  # one bit of one weight
    base.write_bytes(data)
    with pytest.raises(UserError, match=rf"{base.name}, are damaged: remove that file") as caught:
        train(job("supervised", adapt="lora"), place)
    assert "\n" not in str(caught.value)
    base.write_bytes(data[:100])
    with pytest.raises(UserError, match="are damaged"):
        train(job("supervised", adapt="lora"), place)


def test_stages_of_one_network_share_one_file(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    named = []
    for i, (algorithm, adapter) in enumerate([("fixmatch", "lora"), ("supervised", "head"), ("supervised", "norm")]):
        folder = tmp_path / "stages" / f".{i}"
        folder.mkdir(parents=True)
        named.append(job(algorithm, adapt=adapter).keep(folder)["frozen"])
    assert named[0] == named[1] != named[2]
    assert {file.stem for file in (tmp_path / "frozen").iterdir()} == {*named}
    assert job("supervised").keep(tmp_path / "none") == {}
