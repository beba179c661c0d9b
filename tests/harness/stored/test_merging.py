"""`sslkit runs merge`: what several stores have is in one, once, and they stay as they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sslkit.harness import load
from sslkit.store import Store, checkpoint, read_json
from sslkit.training.engine import Engine
from tests.cli.call import Call, assert_refused, sslkit
from tests.harness.small_store import made, named, root, stages, tree
from tests.harness.work.test_compare import SMALL

__all__ = ["made", "root"]  # fixtures
pytestmark = pytest.mark.slow  # stores are made, and copied for every test


def compare(runs: Path, algorithms: str, *more: object) -> Call:
    call = sslkit("compare", *SMALL, "--algo", algorithms, "--seeds", 2, "--runs", runs, *more)
    assert call.code == 0, call.err
    return call


def merge(*stores: Path, into: Path, more: tuple[str, ...] = ()) -> Call:
    return sslkit("runs", "merge", *stores, "--runs", into, *more)


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two stores with an arm each, and one with both."""
    folder = tmp_path_factory.mktemp("halves")
    compare(folder / "a", "fixmatch")
    compare(folder / "b", "flexmatch")
    compare(folder / "whole", "fixmatch,flexmatch")
    return folder / "a", folder / "b", folder / "whole"


def test_halves_of_a_comparison_are_the_comparison(
    halves: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b, whole = halves
    before = tree(a), tree(b)
    call = merge(a, b, into=tmp_path / "runs", more=("--dry-run",))
    assert (call.code, call.err) == (0, "")
    assert f"{a} would bring 6 stages (0 more there), 2 runs (0 more there), 1 comparison (0 more there): " in call.out
    assert f"{b} would bring 2 stages (4 more there), 2 runs (0 more there), 1 comparison (0 more there): " in call.out
    assert not (tmp_path / "runs").exists()
    call = merge(a, b, into=tmp_path / "runs")
    assert (call.code, call.err) == (0, "")
    assert f"{b} brought 2 stages (4 more there)" in call.out
    assert (tree(a), tree(b)) == before
    stages_ = {path.name for path in (tmp_path / "runs/stages").iterdir()}
    assert stages_ == {path.name for path in (whole / "stages").iterdir()}
    monkeypatch.setattr(Engine, "train", lambda *_: pytest.fail("trains"))
    compare(tmp_path / "runs", "fixmatch,flexmatch")
    name = named_compare(whole)
    ours, theirs = (read_json(runs / name / "comparison.json") for runs in (tmp_path / "runs", whole))
    assert ours["runs"] == theirs["runs"]
    tables = [load(runs / name).drop(columns=["seconds", "memory"]) for runs in (tmp_path / "runs", whole)]
    assert tables[0].equals(tables[1])
    texts = [sslkit("table", name, "--runs", runs, "--format", "markdown").out for runs in (tmp_path / "runs", whole)]
    assert without_times(texts[0]) == without_times(texts[1])
    again = merge(a, b, into=tmp_path / "runs")
    assert "brought 0 stages (6 more there), 0 runs (2 more there), 0 comparisons (1 more there): 0.0 MB" in again.out


def named_compare(whole: Path) -> str:
    return next(path.parent.name for path in whole.glob("*/comparison.json"))


def without_times(text: str) -> list[str]:
    """The lines of a table, but for the memory that runs took, the last column of what they cost."""
    return [line.rpartition(" | ")[0] if line.startswith("| vit_micro") else line for line in text.splitlines()]


def test_one_comparison_that_was_cut_off_in_two_stores(root: Path, tmp_path: Path) -> None:
    """Each store has other runs of it: united they are all."""
    a, b, into = root, tmp_path / "b", tmp_path / "into"
    shutil.copytree(a, b)
    name = named(a, "compare")
    for runs, gone in ((a, 0), (b, 1)):
        about = read_json(runs / name / "comparison.json")
        for run in about["runs"][gone::2]:
            shutil.rmtree(runs / run["run"])
            run |= {"run": "", "error": "not run yet"}
        (runs / name / "comparison.json").write_text(json.dumps(about))
    call = merge(a, b, into=into)
    assert call.code == 0, call.err
    about = read_json(into / name / "comparison.json")
    assert not [run for run in about["runs"] if run["error"] or not (into / run["run"] / "results.json").is_file()]


def test_what_is_not_finished_is_left_out_and_said(root: Path, tmp_path: Path) -> None:
    into, unfinished = tmp_path / "into", named(root, "hand-supervised")
    with Store(root).claim(stages(root, unfinished)[-1]):
        call = merge(root, into=into)
    assert f"{root / unfinished} is unfinished (1 of 2 stages): left out" in call.out
    assert f"{root}: 1 stage is being trained: left out; merge again when done" in call.out
    assert "1 stage is unfinished: left out" in merge(root, into=into).out
    assert not (into / unfinished).exists()
    assert not (into / "stages" / f".{stages(root, unfinished)[-1]}").exists()
    damaged = named(root, "hand-fixmatch")
    key = stages(root, damaged)[-1]
    (root / "stages" / key / "metrics.jsonl").write_text("{")
    call = merge(root, into=tmp_path / "other")
    assert f"{key} is damaged: metrics.jsonl is torn in line 1: left out" in call.out
    assert f"{damaged} is damaged" in call.out


def other_weights(stage: Path) -> None:
    tensors, about = checkpoint.load(stage / "weights.safetensors")
    first = next(iter(tensors))
    checkpoint.save(stage / "weights.safetensors", tensors | {first: tensors[first] + 1}, about)


def other_result(stage: Path) -> None:
    result = read_json(stage / "result.json")
    result["networks"]["averaged"]["top1"] += 0.001
    (stage / "result.json").write_text(json.dumps(result))


@pytest.mark.parametrize("change", [other_weights, other_result])
@pytest.mark.parametrize("among", ["sources", "source and store"])
def test_a_contradiction_is_refused_and_nothing_is_merged(
    change: Callable[[Path], None], among: str, root: Path, tmp_path: Path
) -> None:
    other, into = tmp_path / "other", tmp_path / "into"
    shutil.copytree(root, other)
    key = stages(root, named(root, "hand-fixmatch"))[0]
    change(other / "stages" / key)
    if among == "sources":
        assert_refused(merge(root, other, into=into), f"{root / 'stages' / key}", f"{other / 'stages' / key}")
        assert not into.exists()
        return
    (root / named(root, "compare")).rename(root / "compare-00000000")  # something new beside
    before = tree(other)
    assert_refused(merge(root, into=other), "are the same stage and have other results; nothing was merged")
    assert tree(other) == before


def test_a_gpu_rounds_and_the_first_one_stays(root: Path, tmp_path: Path) -> None:
    other, key = tmp_path / "other", stages(root, named(root, "hand-fixmatch"))[0]
    shutil.copytree(root, other)
    for runs in (root, other):
        spec = read_json(runs / "stages" / key / "spec.json") | {"device": "cuda"}
        (runs / "stages" / key / "spec.json").write_text(json.dumps(spec))
    other_weights(other / "stages" / key)
    call = merge(root, other, into=tmp_path / "into")
    assert f"{other}: 1 stage that did not run on a CPU have other weights" in call.out
    kept, first = (runs / "stages" / key / "weights.safetensors" for runs in (tmp_path / "into", root))
    assert kept.read_bytes() == first.read_bytes()


def test_runs_of_one_name_with_other_stages_are_refused(root: Path, tmp_path: Path) -> None:
    other, name = tmp_path / "other", named(root, "hand-fixmatch")
    shutil.copytree(root, other)
    results = read_json(other / name / "results.json")
    results["stages"][-1]["key"] = "0" * 16
    (other / name / "results.json").write_text(json.dumps(results))
    assert_refused(merge(root, into=other), str(root / name), str(other / name), "one name and other stages")


def test_weights_that_were_dropped_come_back_and_caches_come_along(root: Path, tmp_path: Path) -> None:
    into, key = tmp_path / "into", stages(root, named(root, "hand-fixmatch"))[-1]
    shutil.copytree(root, into)
    (into / "stages" / key / "weights.safetensors").unlink()
    features = {"features/0123456789abcdef/rows.f32": "r", "features/0123456789abcdef/images.txt": "i"}
    caches = features | {"data/0123456789abcdef-2.npy": "d", "frozen/0123456789abcdef.safetensors": "f"}
    for name, text in caches.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (into / "data").mkdir(exist_ok=True)
    (into / "data/0123456789abcdef-2.npy").write_text("own")
    call = merge(root, into=into)
    assert "weights of 1 stage: " in call.out
    assert tree(into) == tree(root) | {"data/0123456789abcdef-2.npy": b"own"}


def test_a_copy_that_was_cut_off_leaves_no_half(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    into, copied = tmp_path / "into", 0
    copyfile = shutil.copyfile

    def full(*paths: Path) -> None:
        nonlocal copied
        copied += 1
        if copied > 9:
            raise OSError(28, "No space left on device")
        copyfile(*paths)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        assert_refused(merge(root, into=into), "cannot write", "No space left")
    for stage in (into / "stages").iterdir():
        assert {p.name: p.read_bytes() for p in stage.iterdir()} == {
            p.name: p.read_bytes() for p in (root / "stages" / stage.name).iterdir()
        }
    assert merge(root, into=into).code == 0
    assert tree(into) == {
        name: text for name, text in tree(root).items() if "/." not in name and "hand-supervised" not in name
    }


@pytest.mark.parametrize("what", ["nothing", "a run", "itself"])
def test_what_is_no_other_store_is_a_line(what: str, root: Path, tmp_path: Path) -> None:
    source = {"nothing": tmp_path / "no", "a run": root / named(root, "hand-fixmatch"), "itself": root}[what]
    assert_refused(merge(source, into=root), str(source), "merged into" if what == "itself" else "is not a store")


def test_a_stage_that_the_store_trains_just_now_is_left_to_it(root: Path, tmp_path: Path) -> None:
    into, key = tmp_path / "into", stages(root, named(root, "hand-fixmatch"))[-1]
    with Store(into).claim(key):
        call = merge(root, into=into)
    assert f"stage {key} is being trained there: left out" in call.out
    assert not (into / "stages" / key).exists()
    assert not (into / named(root, "hand-fixmatch")).exists(), "a run without its stage"
