"""Damaged files: what can go on goes on equal to the bit; the rest is one line, exit code 2, and nothing is changed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from sslkit.cli import main
from tests.reliability.small import assert_equal, checkpoints, one_line, small, stages
from tests.reliability.test_interrupt import send


def truncate(path: Path, share: float = 0.5) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def cut_value(path: Path) -> None:
    """A text that ends after an equals sign: half of a TOML file may well be TOML."""
    text = path.read_text("utf-8")
    path.write_text(text[: text.index("= ", len(text) // 2) + 2], "utf-8")


def garble(path: Path) -> None:
    """As long as before, and nonsense: what a lost block leaves."""
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def rarely(*damages: Callable[[Path], None]) -> list[Any]:
    """The first always, the others with the slow tests."""
    return [damages[0], *(pytest.param(damage, marks=pytest.mark.slow) for damage in damages[1:])]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the small run, interrupted: checkpoints of the semi stage after steps 10 and 17."""
    root = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        send(patch, "semi", 16, signal.SIGINT)
        assert small(root) == 130
    assert len(checkpoints(root, "semi")) == 2
    return root


@pytest.fixture
def half(stopped: Path, root: Path) -> Path:
    copytree(stopped, root)
    return root


@pytest.fixture
def whole(quiet: Path, root: Path) -> Path:
    copytree(quiet, root)
    return root


def fails(arguments: list[str] | None, root: Path, capsys: pytest.CaptureFixture[str], *names: str) -> str:
    """A command (None: the small run) must fail in one line that holds `names`, and change nothing in the store."""
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert (small(root) if arguments is None else main(arguments)) == 2
    error = one_line(capsys.readouterr().err)
    for name in names:
        assert name in error
    after = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    rewritten = {"config.toml", "run.json", "split.json"}  # of the run that is gone on with
    assert {p for p in before if p.name not in rewritten and before[p] != after.get(p)} == set()
    return error


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_the_last_but_one_checkpoint_is_gone_on_from(damage: Callable[[Path], None], half, quiet, capsys):
    damage(checkpoints(half, "semi")[-1])
    assert small(half) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "checkpoint-000000017.safetensors is missing or damaged" in said.replace("- ", "-")
    assert "semi goes on from step 10" in said
    assert_equal(half, quiet)


def test_all_checkpoints_torn(half, capsys):
    for path in checkpoints(half, "semi"):
        truncate(path)
    error = fails(None, half, capsys, "checkpoint-", "damaged", "remove")
    folder = error.partition("remove ")[2].partition(" to start")[0]
    assert Path(folder).is_dir()  # what it advises can be done


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_the_parent_stage_has_no_whole_weights(damage: Callable[[Path], None], half, capsys):
    damage(stages(half)["finetune"] / "weights.safetensors")
    fails(None, half, capsys, "weights.safetensors", "missing or damaged")


def test_a_parent_stage_without_weights_is_trained_again(half, quiet):
    (stages(half)["finetune"] / "weights.safetensors").unlink()
    assert small(half) == 0
    assert_equal(half, quiet)


def test_predict_without_weights(whole, capsys):
    (stages(whole)["semi"] / "weights.safetensors").unlink()
    run = next(whole.glob("*-*"))
    fails(["predict", str(run), "--test"], whole, capsys, "weights.safetensors is not there", "--keep")


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_predict_with_torn_weights(damage: Callable[[Path], None], whole, capsys):
    damage(stages(whole)["semi"] / "weights.safetensors")
    run = next(whole.glob("*-*"))
    fails(["predict", str(run), "--test"], whole, capsys, "weights.safetensors", "missing or damaged")
    assert not Path("predictions.csv").exists()


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty, Path.unlink))
@pytest.mark.parametrize("name", ["run.json", "config.toml", "spec.json"])
def test_predict_with_a_torn_description(damage: Callable[[Path], None], name, whole, capsys):
    run = next(whole.glob("*-*"))
    folder = stages(whole)["semi"] if name == "spec.json" else run
    if name == "config.toml":
        damage = cut_value if damage in (truncate, empty) else damage
    damage(folder / name)
    fails(["predict", str(run), "--test"], whole, capsys, name)


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_torn_results(damage: Callable[[Path], None], whole, capsys):
    run = next(whole.glob("*-*"))
    damage(run / "results.json")
    fails(["show", str(run)], whole, capsys, "results.json", "damaged")
    fails(None, whole, capsys, "results.json", "damaged")


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_torn_run_description(damage: Callable[[Path], None], half, capsys):
    damage(next(half.glob("*/run.json")))
    fails(None, half, capsys, "run.json", "damaged")


@pytest.mark.parametrize("damage", rarely(cut_value, garble))
def test_torn_configuration_file(damage: Callable[[Path], None], whole, capsys):
    path = next(whole.glob("*/config.toml"))
    damage(path)
    fails(["run", "--config", str(path), "--runs", str(whole), "--again"], whole, capsys, "config.toml", "TOML")


@pytest.mark.parametrize("damage", [truncate, garble, Path.unlink])
def test_the_log_never_stops_a_run(damage: Callable[[Path], None], half, quiet, capsys):
    """The weights do not depend on it, so a damaged log may lose lines, and nothing else."""
    damage(checkpoints(half, "semi")[0].parent / "metrics.jsonl")
    assert small(half) == 0
    assert "Traceback" not in capsys.readouterr().err
    assert_equal(half, quiet)


@pytest.mark.parametrize("damage", rarely(truncate, garble, empty))
def test_torn_result_of_a_stage(damage: Callable[[Path], None], half, capsys):
    damage(stages(half)["finetune"] / "result.json")
    fails(None, half, capsys, "result.json", "damaged")
