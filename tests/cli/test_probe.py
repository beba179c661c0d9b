"""A run that starts from weights: the probe, LP-FT, BatchNorm's statistics, and methods on frozen features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.store import checkpoint, read_json
from tests.cli.call import Call, assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished

pytestmark = pytest.mark.usefixtures("untimed")
RUNS = Path("runs")


def started(finished: Finished, *arguments: object) -> Call:
    """A tiny run from the weights of another."""
    call = run("--weights", finished.folder, "--json", *arguments)
    assert call.code == 0, call.err
    return call


def tensors(call: Call, label: str, file: str = "weights") -> dict[str, torch.Tensor]:
    key = read_json(folder_of(call, RUNS) / "run.json")["stages"][label]
    return checkpoint.load(RUNS / "stages" / key / f"{file}.safetensors")[0]


def rows(call: Call) -> dict[str, Any]:
    return {row["stage"]: row for row in call.json["stages"]}


def test_from_weights_a_probe_comes_first_and_gives_the_head(finished: Finished) -> None:
    """LP-FT: a stage that changes nothing predicts what the probe predicts."""
    call = started(finished, "--set", "finetune.lr=0", "--set", "finetune.steps=1")
    assert [*rows(call)] == ["probe", "finetune", "semi"]
    probe, finetune = (tensors(call, label, "predictions") for label in ("probe", "finetune"))
    torch.testing.assert_close(finetune["averaged"], probe["averaged"], atol=1e-4, rtol=1e-4)
    weights = tensors(call, "probe")
    assert torch.equal(weights["student.model.head.weight"], weights["algorithm.weight"].float())


def test_a_probe_is_found_in_the_store_and_computes_no_feature_again(finished: Finished) -> None:
    first = started(finished, "--algo", "linear")
    again = started(finished, "--algo", "knn")
    assert "features of 897 images in" in first.err
    assert "features of 897 images were in the store" in again.err
    assert [*rows(first)] == [*rows(again)] == ["semi"]
    assert rows(first)["semi"]["frozen"]


def test_a_method_on_frozen_features_does_not_start_from_finetune(finished: Finished) -> None:
    call = started(finished, "--algo", "linear", "--stages", "probe,finetune,semi")
    probe, semi = (tensors(call, label, "predictions") for label in ("probe", "semi"))
    assert torch.equal(probe["averaged"], semi["averaged"])


@pytest.mark.parametrize(("labels", "kept"), [("10/class", True), ("all", False)])
def test_statistics_stay_where_labels_are_few(labels: str, kept: bool) -> None:
    first = run("--backbone", "wrn_10_1", "--stages", "finetune", "--json")
    start = RUNS / first.json["run"]
    more = ("--backbone", "wrn_10_1", "--labels", labels, "--stages", "probe,finetune")
    call = run("--weights", start, "--json", *more)
    assert call.code == 0, call.err
    before, after = (tensors(call, label) for label in ("probe", "finetune"))
    name = "student.norm.running_mean"
    assert torch.equal(before[name], after[name]) == kept
    assert not torch.equal(before["student.norm.weight"], after["student.norm.weight"])


def test_asked_for_statistics_are_those_of_batches(finished: Finished) -> None:
    first = run("--backbone", "wrn_10_1", "--stages", "finetune", "--json")
    more = ("--backbone", "wrn_10_1", "--stages", "probe,finetune", "--set", "finetune.norm_stats=batch")
    call = run("--weights", RUNS / first.json["run"], "--json", *more)
    name = "student.norm.running_mean"
    assert not torch.equal(tensors(call, "probe")[name], tensors(call, "finetune")[name])


def test_a_repetition_agrees_bit_for_bit(finished: Finished) -> None:
    started(finished)
    again = run("--weights", finished.folder, "--again")
    assert "agree with the first run bit for bit" in again.out + again.err


@pytest.mark.parametrize("algo", ["linear", "knn"])
def test_predict_gives_the_accuracy_of_the_table(finished: Finished, algo: str) -> None:
    call = started(finished, "--algo", algo)
    folder = folder_of(call, RUNS)
    out = sslkit("predict", folder, "--test", "--out", "p.csv")
    assert out.code == 0, out.err
    lines = Path("p.csv").read_text().splitlines()
    header = lines[0].split(",")
    table = [dict(zip(header, line.split(","), strict=True)) for line in lines[1:]]
    right = sum(row["class"] == row["label"] for row in table) / len(table)
    assert right == pytest.approx(rows(call)["semi"]["networks"]["averaged"]["top1"])


def test_one_class_is_refused_in_a_line(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # steps are timed, and with that stages put together
    monkeypatch.chdir(tmp_path)
    Path("one.csv").write_text("index\n0\n")
    refused = run("--weights", finished.folder, "--algo", "linear", "--labels", "index:one.csv")
    assert_refused(refused, "labels of two classes")
    assert not RUNS.exists()


def test_timms_folder_is_refused_to_a_method_that_has_no_linear_head(finished: Finished) -> None:
    """The network's own head was never trained: its logits would be those of another classifier."""
    for name, fits in (("knn", False), ("sgmm", False), ("linear", True)):
        folder, out = folder_of(started(finished, "--algo", name), RUNS), Path(f"out-{name}")
        call = sslkit("export", folder, "--out", out)
        if fits:
            assert call.code == 0, call.err
        else:
            assert_refused(call, f"{name} does not classify by the network's head", "--format onnx or torch")
        assert out.exists() is fits
