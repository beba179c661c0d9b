"""From what was asked to a configuration: layers, names, types, and back to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sslkit import registry
from sslkit.cli import main
from sslkit.config import Config, Flat, flatten
from sslkit.config.resolve import named, parse_set, read_toml, resolve, to_toml
from sslkit.errors import UserError
from sslkit.prepare import LARGE, prepare


def resolved(**request: Any) -> Config:
    """The configuration of a request on digits; `__` in a keyword stands for the dot."""
    flat = named({key.replace("__", "."): value for key, value in request.items()})
    return resolve(flat, registry.load("dataset", "digits"), lambda: "vit_micro")


def keys(config: Config) -> Flat:
    return flatten(config)


# Layers.


def test_defaults_come_from_kernel_algorithm_backbone_and_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"control.run": True}
    monkeypatch.setattr(registry.load("dataset", "digits"), "defaults", own)
    found = keys(resolved())
    assert found["algo.name"] == "ema_teacher"
    assert found["semi.warmup"] == 0.05  # kernel
    assert (found["labeler.tau"], found["semi.mu"]) == (0.6, 5)  # algorithm
    assert found["finetune.lr"] == 3e-3  # backbone vit_micro
    assert found["control.run"] is True  # data set


def test_data_set_beats_backbone_beats_algorithm_beats_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm, backbone, data = (
        registry.load(kind, name)
        for kind, name in (("algorithm", "fixmatch"), ("backbone", "vit_micro"), ("dataset", "digits"))
    )
    every = {"semi.steps": 2, "semi.clip": 2.0, "semi.warmup": 0.2}
    monkeypatch.setattr(algorithm, "defaults", every)
    monkeypatch.setattr(backbone, "defaults", {"semi.steps": 3, "semi.clip": 3.0})
    monkeypatch.setattr(data, "defaults", {"semi.steps": 4})
    found = keys(resolved(algo="fixmatch"))
    assert [found[f"semi.{name}"] for name in ("steps", "clip", "warmup", "lr")] == [4, 3.0, 0.2, 1e-3]
    assert keys(resolved(algo="fixmatch", semi__steps=5))["semi.steps"] == 5


def test_a_network_that_starts_from_trained_weights_has_defaults_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.load("dataset", "digits"), "defaults", {})
    decay = "finetune.layer_decay"
    scratch, trained = {"backbone": "vit_mini"}, {"backbone": "vit_mini", "stages": "pretrain,finetune,semi"}
    assert keys(resolved(**scratch))[decay] == 1.0
    assert keys(resolved(**trained))[decay] == keys(resolved(**scratch, weights="some.pth"))[decay] == 0.75
    assert keys(resolved(**trained, finetune__layer_decay=0.9))[decay] == 0.9
    assert keys(resolved(backbone="resnet18", weights="some.pth"))[decay] == 1.0
    monkeypatch.setattr(registry.load("dataset", "digits"), "defaults", {decay: 0.5})
    assert keys(resolved(**trained))[decay] == 0.5


def test_command_line_beats_file_beats_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "own.toml"
    file.write_text('mixer = "none"\nseed = 3\n[semi]\nlr = 0.5\nbatch = 7\n[labeler]\ntau = 0.1\n')
    flags = ["--config", str(file), "--seed", "4", "--set", "semi.lr=0.25", "--mixer", "pseudo"]
    assert main(["run", "--show-config", "--json", *flags]) == 0
    found = json.loads(capsys.readouterr().out)["config"]
    assert (found["seed"], found["semi.lr"], found["mixer.name"]) == (4, 0.25, "pseudo")
    assert (found["semi.batch"], found["labeler.tau"]) == (7, 0.1)
    assert found["semi.warmup"] == 0.05


def test_the_last_set_counts_and_a_flag_beats_set(capsys: pytest.CaptureFixture[str]) -> None:
    sets = ["--set", "seed=1", "--set", "seed=2", "--set", "mixer=none", "--mixer", "pseudo"]
    assert main(["run", "--show-config", "--json", *sets]) == 0
    found = json.loads(capsys.readouterr().out)["config"]
    assert (found["seed"], found["mixer.name"]) == (2, "pseudo")


def test_defaults_for_parts_that_are_not_used_do_not_count() -> None:
    """mean_teacher sets teacher.mode; a fixmatch with another labeler must not trip over labeler.tau."""
    assert keys(resolved(algo="mean_teacher"))["teacher.mode"] == "train"
    assert "labeler.tau" not in keys(resolved(algo="supervised"))


# Names, types and ranges.

REFUSED = [
    ({"algo": "fixmach"}, "did you mean 'fixmatch'"),
    ({"algo": 3}, "algo"),
    ({"mixer": [1]}, "mixer"),
    ({"algo": "fixmatch:3"}, "fixmatch"),
    ({"backbone": "vit_micro:3"}, "vit_micro"),
    ({"semi.lrr": 1.0}, "'semi.lr'"),
    ({"semi": 1.0}, "semi"),
    ({"semi.lr.x": 1.0}, "semi.lr"),
    ({"x": 1}, "unknown key 'x'"),
    ({"": 1}, "unknown key ''"),
    ({"labeler.taux": 0.5}, "'labeler.tau'"),
    ({"labler.tau": 0.5}, "did you mean 'labeler.tau'"),
    ({"algo.teacher": "x"}, "algo.teacher"),
    ({"algo.setup": "x"}, "algo.setup"),
    ({"semi.lr": "abc"}, "semi.lr must be a number, got 'abc'"),
    ({"semi.lr": True}, "semi.lr must be a number"),
    ({"semi.lr": float("nan")}, "semi.lr must be a number"),
    ({"semi.lr": float("inf")}, "semi.lr"),
    ({"semi.lr": -1}, "semi.lr must be 0 or more"),
    ({"semi.steps": 0}, "semi.steps must be 1 or more"),
    ({"semi.steps": 1.5}, "semi.steps must be a whole number"),
    ({"semi.steps": True}, "semi.steps must be a whole number"),
    ({"semi.mu": 0}, "semi.mu must be 1 or more"),
    ({"semi.warmup": 1.1}, "semi.warmup must be from 0 to 1"),
    ({"semi.accumulate": 0}, "semi.accumulate"),
    ({"semi.clip": -1}, "semi.clip"),
    ({"semi.weight_decay": -1}, "semi.weight_decay"),
    ({"semi.optimizer": "lion"}, "adamw, sgd"),
    ({"semi.skip_rejected": "maybe"}, "semi.skip_rejected"),
    ({"finetune.mu": 3}, "finetune.mu"),
    ({"eval.decay": 1.1}, "eval.decay must be from 0 to 1"),
    ({"eval.buffers": "none"}, "eval.buffers"),
    ({"control.run": 3}, "control.run must be true or false"),
    ({"control.lr": -1}, "control.lr"),
    ({"data.val": 1.0}, "data.val must be from 0 to 0.9"),
    ({"data.size": 3}, "data.size must be from 4"),
    ({"data.size": "big"}, "data.size must be a whole number"),
    ({"data.pool": "some"}, "data.pool"),
    ({"data.tune": 1}, "data.tune must be true or false"),
    ({"views.weak.shift": 1.5}, "views.weak.shift must be in [0, 1]"),
    ({"views.strong.rotate": 181}, "views.strong.rotate must be in [0, 180]"),
    ({"views.weak.flip": True}, "must not be mirrored"),
    ({"views.medium.flip": True}, "must not be mirrored"),
    ({"views.weak": 3}, "views.weak"),
    ({"pretrain.method": "mae"}, "pretrain.method"),
    ({"seed": -1}, "seed must be from 0"),
    ({"seed": 1.0}, "seed must be a whole number"),
    ({"device": "gpu"}, "did you mean 'cpu'"),
    ({"precision": "fp16"}, "precision"),
    ({"threads": 0}, "threads must be from 1"),
    ({"mixer.box": "foo"}, "published, unbiased"),
    ({"teacher.mode": "foo"}, "eval, train"),
    ({"algo": "supervised", "mixer": "prob_pseudo"}, "has no mixer (its slots: none)"),
    ({"algo": "supervised", "labeler.tau": 0.5}, "has no labeler"),
    ({"algo": "mean_teacher", "mixer": "none"}, "has no mixer (its slots: teacher)"),
    ({"algo": "mean_teacher", "labeler": "threshold"}, "has no labeler"),
]


@pytest.mark.parametrize(("request_", "words"), REFUSED, ids=[str(request) for request, _ in REFUSED])
def test_what_cannot_be_is_refused_with_what_would_be_right(request_: Flat, words: str) -> None:
    with pytest.raises(UserError) as caught:
        resolved(**{key.replace(".", "__"): value for key, value in request_.items()})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_auto_and_none_mean_decided_for_you() -> None:
    assert resolved(eval__decay="auto").eval.decay is None
    assert resolved(eval__decay=None).eval.decay is None
    assert resolved(teacher__decay="auto").teacher.options["decay"] is None  # type: ignore[union-attr]
    assert resolved(eval__decay=0.5).decay == 0.5


def test_average_remembers_a_tenth_of_the_semi_steps() -> None:
    assert resolved(semi__steps=1000).decay == pytest.approx(0.99)
    assert 0 <= resolved(semi__steps=3).decay < 1


def test_whole_numbers_are_numbers() -> None:
    config = resolved(semi__lr=1, labeler__tau=1)
    assert isinstance(config.semi.lr, float)
    assert isinstance(config.labeler.options["tau"], float)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("semi.lr=1e-3", ("semi.lr", 1e-3)),
        ("semi.steps = 5", ("semi.steps", 5)),
        ("data.tune=true", ("data.tune", True)),
        ("mixer=none", ("mixer", "none")),
        ("data.labels=10/class", ("data.labels", "10/class")),
        ("data.name=parquet:a=b", ("data.name", "parquet:a=b")),
        ("mixer='none'", ("mixer", "none")),
    ],
)
def test_parse_set(text: str, pair: tuple[str, Any]) -> None:
    assert parse_set(text) == pair


@pytest.mark.parametrize("text", ["semi.lr", "=3", "", " =3"])
def test_parse_set_refuses(text: str) -> None:
    with pytest.raises(UserError, match="KEY=VALUE"):
        parse_set(text)


def test_number_of_labels_may_be_a_number() -> None:
    """`--set data.labels=40` is read as a number, and means what `--labels 40` means."""
    assert resolved(data__labels=40).data.labels == "40"


# Files.

ROUND = [
    {},
    {"algo": "supervised"},
    {"algo": "fixmatch", "teacher": "ema", "labeler": "flexmatch", "mixer": "pseudo", "semi.lr": 0.5},
    {"eval.decay": 0.5, "threads": 3, "data.size": 16, "data.labels": "1%", "data.pool": "all", "seed": 7},
    {"algo": "mean_teacher", "backbone": "wrn_10_1", "views.strong.erase": 0.0, "control.lr": 1e-5},
]


@pytest.mark.parametrize("request_", ROUND, ids=str)
def test_toml_round_trip(request_: Flat, tmp_path: Path) -> None:
    config = resolved(**{key.replace(".", "__"): value for key, value in request_.items()})
    file = tmp_path / "config.toml"
    file.write_text(to_toml(config))
    again = resolve(read_toml(file), registry.load("dataset", "digits"), lambda: pytest.fail("name is there"))
    assert again == config
    assert to_toml(again) == to_toml(config)


def test_show_config_is_the_configuration_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--algo", "fixmatch", "--mixer", "pseudo", "--labels", "40"]
    assert main(["run", "--show-config", *asked]) == 0
    text = capsys.readouterr().out
    file = tmp_path / "config.toml"
    file.write_text(text)
    assert main(["run", "--show-config", "--config", str(file)]) == 0
    assert capsys.readouterr().out == text
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfe", "not a TOML file"),
        (b"[semi\n", "not a TOML file"),
        (b"[semi]\nlrr = 1\n", "'semi.lr'"),
        (b"[semi]\nlr = 2020-01-01\n", "semi.lr must be a number"),
        (b"[[semi]]\nlr = 1\n", "semi"),
        (b'algo = ["fixmatch"]\n', "algo"),
    ],
)
def test_bad_files_say_why(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        prepare(read_toml(file))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_backbone_and_size_are_chosen_from_the_images() -> None:
    prepared = prepare({})
    assert (prepared.config.backbone.name, prepared.config.data.size) == ("vit_micro", 8)
    assert any("vit_micro" in remark for remark in prepared.remarks)
    assert prepare({"data.size": 32}).config.backbone.name == "vit_tiny"


def test_tuning_is_for_seeds_from_100() -> None:
    assert prepare({"data.tune": True}).config.seed == 100
    assert prepare({"data.tune": True, "seed": 101}).config.seed == 101
    with pytest.raises(UserError, match="100 upward"):
        prepare({"data.tune": True, "seed": 3})


def test_large_images_have_the_views_of_semi_vit() -> None:
    """Where nothing else is said; a file and the command line still decide."""
    keys = {"backbone": "vit_micro", "data.size": 96, "views.weak.shift": 0.0, "backbone.patch": 32}
    found = prepare(keys).config.views
    assert prepare(keys | {"data.size": 64}).config.views.weak.crop == 1
    assert prepare(keys | {"views.strong": "usb"}).config.views.strong.randaugment == "usb-n3"
    assert (found.weak.crop, found.strong.crop) == (1, 1), "digits have views of their own"
    config = resolve(named(keys), Photographs, lambda: "vit_micro", LARGE)
    assert (config.views.weak.brightness, config.views.strong.randaugment) == (0.4, "rand-m9-mstd0.5-inc1")
    assert (config.views.medium.crop, config.views.medium.randaugment) == (0.08, "rand-m9-mstd0.5-n1-inc1")
    assert config.views.weak.flip is config.views.medium.flip is True


def test_medium_views_are_mirrored_as_the_strong_ones() -> None:
    keys = {"backbone": "vit_micro", "views.strong.flip": False}
    assert resolve(named(keys), Photographs, lambda: "vit_micro").views.medium.flip is False
    asked = named(keys | {"views.medium.flip": True})
    assert resolve(asked, Photographs, lambda: "vit_micro").views.medium.flip is True


class Photographs:
    """A data set without views of its own."""
