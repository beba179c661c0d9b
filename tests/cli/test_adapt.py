"""`--adapt` from the command line: what is stored, predicted, exported, gone on with, removed and refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from sslkit.augment.render import normalise
from sslkit.backbones._timm import Width
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.prepare import prepare
from sslkit.terminal import screen
from tests.cli.call import Call, assert_refused, folder_of, run, sslkit
from tests.datasets.make import held

LEARNED = ("--set", "finetune.lr=0.03", "--set", "semi.lr=0.03")  # so that a few steps change what is predicted


@pytest.fixture(scope="module", autouse=True)
def untimed() -> Iterator[None]:  # as the fixture of this room, for the store that all share, too
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ViTMicro, "width", Width(dim=128, depth=4, heads=4))  # of which an adapter is a small part
        patch.setattr(screen, "step_seconds", lambda *_: {})
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Call]:
    """The store of a run by LoRA, which nobody changes."""
    runs = tmp_path_factory.mktemp("adapted") / "runs"
    call = run("--adapt", "lora", *LEARNED, "--runs", runs, "--json")
    assert call.code == 0, call.err
    return runs, call


@pytest.fixture
def copied(made: tuple[Path, Call]) -> tuple[Path, Path]:
    """A store to do harm to, and the folder of its run."""
    runs = Path(shutil.copytree(made[0], "runs"))
    return runs, folder_of(made[1], runs)


def stage(runs: Path, call: Call, label: str = "semi") -> Path:
    return runs / "stages" / next(row["key"] for row in call.json["stages"] if row["stage"] == label)


def test_what_lies_in_the_store(made: tuple[Path, Call]) -> None:
    runs, call = made
    (base,) = (runs / "frozen").iterdir()
    for label in ("finetune", "semi"):
        folder = stage(runs, call, label)
        assert json.loads((folder / "frozen.json").read_text()) == {"frozen": base.stem}
        stored = load_file(folder / "weights.safetensors")
        networks = [n for n in stored if n.startswith(("student.", "averaged."))]
        assert len(networks) == 2 * (4 * 2 + 2), "A and B of four blocks, and the head"
        assert (folder / "weights.safetensors").stat().st_size < base.stat().st_size / 20
    (listed,) = sslkit("runs", "ls", "--runs", runs, "--json").json["runs"]
    whole = [f for f in runs.rglob("*") if f.is_file() and f.name[0] != "."]
    assert listed["size"] == sum(f.stat().st_size for f in whole)


def test_a_second_call_finds_it_and_full_is_no_adapter(made: tuple[Path, Call]) -> None:
    runs, call = made
    again = run("--adapt", "lora", *LEARNED, "--runs", runs, "--json")
    assert "is finished" in again.err
    other = run("--adapt", "lora", "--set", "adapt.rank=5", *LEARNED, "--runs", runs, "--json")
    assert {row["key"] for row in other.json["stages"]}.isdisjoint(row["key"] for row in call.json["stages"])
    assert len(list((runs / "frozen").iterdir())) == 1, "another adapter, the same frozen weights"
    plain, full = (run(*more, "--runs", "plain", "--json") for more in ((), ("--adapt", "full")))
    assert plain.code == full.code == 0
    assert "is finished" in full.err
    assert "adapt" not in Path(folder_of(plain, Path("plain")), "config.toml").read_text()
    assert not Path("plain", "frozen").exists()


@pytest.mark.parametrize("network", ["averaged", "student"])
def test_it_predicts_what_was_stored(made: tuple[Path, Call], network: str) -> None:
    runs, call = made
    told = sslkit("predict", folder_of(call, runs), "--test", "--network", network, "--json").json
    assert told["top1"] == pytest.approx(call.json["stages"][-1]["networks"][network]["top1"])


def test_timm_reads_merged_weights(made: tuple[Path, Call]) -> None:
    runs, call = made
    assert sslkit("export", folder_of(call, runs), "--out", "model").code == 0
    network = timm.create_model(f"local-dir:{Path('model').absolute()}", pretrained=True).eval()
    about = json.loads(Path("model/config.json").read_text())["pretrained_cfg"]
    prepared = prepare({})
    pixels = torch.from_numpy(held(prepared.images)[prepared.split.test])
    with torch.no_grad():
        found = network(normalise(pixels, torch.tensor(about["mean"]), torch.tensor(about["std"])))
    stored = load_file(stage(runs, call) / "predictions.safetensors")["averaged"]
    torch.testing.assert_close(found, stored, atol=1e-4, rtol=1e-4)
    (base,) = (runs / "frozen").iterdir()
    before, after = load_file(base), load_file("model/model.safetensors")
    changed = {n for n in after if f"model.{n}" in before and not torch.equal(after[n], before[f"model.{n}"])}
    assert changed == {f"blocks.{i}.attn.qkv.weight" for i in range(4)}


@pytest.mark.slow
def test_a_branch_is_exported_for_onnx_and_torch_and_not_for_timm() -> None:
    call = run("--adapt", "adaptformer", *LEARNED, "--json")
    folder = folder_of(call, Path("runs"))
    assert_refused(sslkit("export", folder, "--out", "model"), "timm has no place for adaptformer", "--format onnx")
    assert not Path("model").exists()
    for form, suffix in (("onnx", "onnx"), ("torch", "pt2")):
        done = sslkit("export", folder, "--format", form, "--out", f"model.{suffix}")
        assert done.code == 0, done.err


@pytest.mark.slow
def test_exported_files_hold_merged_weights(made: tuple[Path, Call]) -> None:
    runs, call = made
    done = sslkit("export", folder_of(call, runs), "--format", "torch", "--out", "model.pt2")
    assert done.code == 0, done.err
    program = torch.export.load("model.pt2")
    assert not [name for name in program.state_dict if "lora" in name]


def test_pre_training_is_of_all_weights_and_its_average_is_what_is_frozen() -> None:
    sets = ("pretrain.steps=2", "pretrain.batch=8", "pretrainer.decoder_dim=32", "pretrainer.decoder_depth=1")
    words = [word for key in (*sets, "pretrain.decay=0.5") for word in ("--set", key)]
    call = run("--pretrain", "mae", "--adapt", "norm", *words, "--json")
    assert call.code == 0, call.err
    before = load_file(stage(Path("runs"), call, "pretrain") / "weights.safetensors")
    (base,) = Path("runs/frozen").iterdir()
    frozen = load_file(base)
    assert all(torch.equal(tensor, before[f"averaged.{name}"]) for name, tensor in frozen.items())
    assert any(not torch.equal(tensor, before[f"student.{name}"]) for name, tensor in frozen.items())
    assert not (stage(Path("runs"), call, "pretrain") / "frozen.json").exists()


def test_frozen_weights_that_are_lost_are_named_in_a_line(copied: tuple[Path, Path]) -> None:
    runs, folder = copied
    (base,) = (runs / "frozen").iterdir()
    whole = base.read_bytes()
    base.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert_refused(sslkit("predict", folder, "--test", "--out", "p.csv"), base.name, "are damaged")
    base.unlink()
    assert_refused(sslkit("predict", folder, "--test", "--out", "p.csv"), base.name, "are not there", "--again")
    assert_refused(sslkit("export", folder, "--out", "model"), base.name, "are not there")
    base.write_bytes(whole)
    assert sslkit("predict", folder, "--test", "--out", "p.csv").code == 0


@pytest.mark.slow
def test_what_a_stage_starts_from_needs_its_frozen_weights(copied: tuple[Path, Path]) -> None:
    runs, folder = copied
    (base,) = (runs / "frozen").iterdir()
    base.unlink()
    call = run("--adapt", "lora", *LEARNED, "--algo", "fixmatch", "--runs", runs)
    assert call.code == 2
    assert call.err.splitlines()[-1].startswith("error: the frozen weights of ")
    assert f"{base}, are not there" in call.err.splitlines()[-1]
    assert sslkit("predict", folder, "--test", "--out", "p.csv").code == 2
    assert run("--adapt", "lora", *LEARNED, "--runs", runs, "--again").code == 0
    assert sslkit("predict", folder, "--test", "--out", "p.csv").code == 0


@pytest.mark.slow
def test_a_removed_run_takes_its_frozen_weights_where_no_other_needs_them(copied: tuple[Path, Path]) -> None:
    runs, folder = copied
    (base,) = (runs / "frozen").iterdir()
    assert run("--adapt", "head", "--runs", runs, "--seed", "1").code == 0
    assert run("--adapt", "head", "--runs", runs).code == 0  # of the first one's network
    assert len(list((runs / "frozen").iterdir())) == 2
    head = [path.parent.name for path in runs.glob("*/run.json") if path.parent != folder]
    before = sum(f.stat().st_size for f in runs.rglob("*") if f.is_file())
    (runs / "stages" / ".begun").mkdir()
    (runs / "stages" / ".begun" / "frozen.json").write_text(json.dumps({"frozen": base.stem}))
    removed = sslkit("runs", "rm", *head, "--yes", "--runs", runs)
    assert removed.code == 0, removed.err
    assert list((runs / "frozen").iterdir()) == [base]
    freed = before - sum(f.stat().st_size for f in runs.rglob("*") if f.is_file())
    assert removed.out.rstrip().endswith(f"{freed / 1e6:.1f} MB")
    assert sslkit("runs", "rm", folder.name, "--yes", "--runs", runs).code == 0
    assert base.exists(), "a stage that is being trained needs it"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--adapt", "lora", "--backbone", "wrn_10_1"), ("--adapt lora changes attention", "head, norm and bias work")),
        (("--adapt", "adaptformer", "--backbone", "resnet18"), ("beside a transformer's MLPs", "head, norm and bias")),
        (("--adapt", "loro"), ("unknown adapter 'loro', did you mean 'lora'?",)),
        (("--set", "adapt.rank=4"), ("adapt.rank is of an adapter, and all weights train; add --adapt lora",)),
        (("--adapt", "lora", "--set", "adapt.width=4"), ("key of adapt 'lora': 'adapt.width'",)),
        (("--adapt", "lora", "--set", "adapt.rank=0"), ("adapt.rank must be 1 or more, got 0",)),
        (("--adapt", "lora:4",), ("takes nothing after a colon",)),
    ],
)  # fmt: skip
def test_mistakes_are_said_before_anything_is_trained(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    assert_refused(run(*arguments), *words)
    assert not list(Path().glob("runs/stages/[!.]*"))


@pytest.mark.slow
def test_weights_of_a_run_with_an_adapter_are_exported_first(made: tuple[Path, Call]) -> None:
    runs, call = made
    folder = folder_of(call, runs)
    assert_refused(run("--weights", folder), "its network has an adapter", f"sslkit export {folder}")
    assert sslkit("export", folder, "--out", "model").code == 0
    assert run("--weights", "model/model.safetensors").code == 0
