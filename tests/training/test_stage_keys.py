"""Every field of the configuration does something: it flips the keys of the stages that it touches, and no others."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sslkit import record, registry
from sslkit.config import flatten
from sslkit.data import Images, decoding
from sslkit.data.decoding import decode
from sslkit.machine import Machine
from sslkit.plugins import load_plugin
from sslkit.prepare import Prepared, prepare
from sslkit.record import run_digest
from sslkit.record.stages import stages
from sslkit.training import spec
from sslkit.training.sources import source_hash

PLUGINS = Path(__file__).parents[1] / "plugins"
BASE: dict[str, Any] = {"control.lr": "auto", "backbone": "vit_micro", "device": "cpu"}
BASE |= {"stages": "pretrain,finetune,semi", "pretrain.batch": 128}
DEFAULTS = {"control.run": True}
CPU = Machine("cpu", "fp32", 1)
ALL = frozenset({"pretrain", "finetune", "finetune+", "semi"})
TUNED = ALL - {"pretrain"}
SEMI = frozenset({"semi"})
LATER = frozenset({"finetune+", "semi"})
NONE: frozenset[str] = frozenset()


@cache
def base() -> Prepared:
    return prepare(BASE)


def stage_keys(prepared: Prepared, machine: Machine = CPU) -> dict[str, str]:
    return {stage.label: stage.spec.key for stage in stages(prepared, machine)}


def flipped(prepared: Prepared, machine: Machine = CPU) -> frozenset[str]:
    """The stages whose keys differ from those of the base request."""
    first, now = stage_keys(base()), stage_keys(prepared, machine)
    return frozenset(label for label in first if first[label] != now.get(label))


@pytest.fixture(autouse=True)
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images of one size are decoded once, and built-in sources read once: a hundred requests are resolved here."""
    monkeypatch.setattr(decoding, "decode", lambda *parts, **how: decoded(parts[3]))
    monkeypatch.setattr(decoding, "median_size", lambda *_: 8)
    monkeypatch.setattr(spec, "source_hash", source)
    monkeypatch.setattr(registry.load("dataset", "digits"), "defaults", DEFAULTS)


@cache
def decoded(size: int) -> Images:
    classes, train, test = registry.load("dataset", "digits")().read()
    return decode(classes, train, test, size=size)


@cache
def source(cls: type) -> str:
    return source_hash(cls)


TRAINING: dict[str, Any] = {
    "steps": 7,
    "epochs": 50.0,
    "images": 4000,
    "batch": 32,
    "lr": 0.5,
    "scale_lr": True,
    "schedule": "long_cosine",
    "min_lr": 1e-4,
    "optimizer": "sgd",
    "beta2": 0.9,
    "weight_decay": 0.3,
    "layer_decay": 0.5,
    "warmup": 0.3,
    "clip": 1.0,
    "accumulate": 2,
    "smoothing": 0.2,
    "mixup": 0.2,
    "cutmix": 0.2,
    "drop_path": 0.2,
    "erase": 0.2,
    "decay": 0.3,
    "norm_stats": "frozen",
}
VIEW = {
    "crop": 0.5,
    "pad": 0.3,
    "shift": 0.3,
    "rotate": 7.0,
    "interpolation": "bilinear",
    **dict.fromkeys(("brightness", "contrast", "saturation", "jitter", "grayscale", "blur", "solarize"), 0.2),
    "randaugment": "usb-n1",
    "cutout": 0.3,
    "cutout_random": True,
    "erase": 0.2,
    "erase_area": 0.2,
    "erase_fill": "mean",
}
MEDIUM = VIEW | {"randaugment": "usb-n3", "cutout_random": False}
# key -> (another value than the default's, stages that it changes)
FIELDS: dict[str, tuple[Any, frozenset[str]]] = {
    "backbone.name": ("wrn_10_1", ALL),
    "backbone.patch": (2, ALL),
    "backbone.pool": ("token", ALL),
    "backbone.drop_path": (0.1, ALL),
    "backbone.pos_embed": ("sincos", ALL),
    "backbone.head_std": (0.3, ALL),
    "algo.name": ("fixmatch", SEMI),
    "algo.lambda_u": (2.0, SEMI),
    "algo.burn_in": (0.2, SEMI),
    "algo.joint": (True, SEMI),
    "teacher.name": ("self", SEMI),
    "teacher.decay": (0.5, SEMI),
    "teacher.mode": ("train", SEMI),
    "teacher.buffers": ("copy", SEMI),
    "labeler.name": ("flexmatch", SEMI),
    "labeler.tau": (0.5, SEMI),
    "labeler.smoothing": (0.2, SEMI),
    "mixer.name": ("none", SEMI),
    "mixer.cutmix": (0.3, SEMI),
    "mixer.box": ("unbiased", SEMI),
    "data.labels": ("4/class", ALL),
    "data.pool": ("all", ALL),
    "data.val": (0.2, ALL),
    "data.tune": (True, ALL),
    "data.size": (16, ALL),
    "data.crop": (0.8, ALL),
    "data.whole": (True, ALL),
    "data.cache_gb": (1.0, NONE),
    "data.workers": (3, NONE),
    "data.test": (0.3, NONE),  # digits has a test part, no groups, no bad images, and none twice
    "data.groups": (r"image \d*(\d)", NONE),
    "data.classes": ("folders", NONE),  # digits has none
    "data.on_bad_image": ("skip", NONE),
    "data.duplicates": ("drop", NONE),
    "data.stats": ("measured", ALL),
    "data.interpolation": ("bilinear", ALL),
    "data.class_weights": ("3=2", TUNED),
    "data.sampling": ("classes", TUNED),
    "data.imbalance": ("2", ALL),
    **{f"views.weak.{name}": (value, TUNED) for name, value in VIEW.items()},
    **{f"views.medium.{name}": (value, NONE) for name, value in MEDIUM.items()},  # its algorithm asks for none
    **{f"views.strong.{name}": (value, SEMI) for name, value in VIEW.items()},
    **{f"views.pretrain.{name}": (value, ALL) for name, value in VIEW.items()},
    "views.labeled": ("strong", TUNED),
    **{f"pretrain.{name}": (value, ALL) for name, value in TRAINING.items()},
    **{f"finetune.{name}": (value, TUNED) for name, value in TRAINING.items()},
    **{f"semi.{name}": (value, LATER) for name, value in TRAINING.items()},
    "semi.epochs": (50.0, TUNED),  # as semi.steps
    "semi.images": (4000, TUNED),
    "finetune.erase": (0.2, NONE),  # labelled images have the weak view here
    "semi.erase": (0.2, SEMI),
    "pretrainer.mask": (0.5, ALL),
    "pretrainer.decoder_dim": (64, ALL),
    "pretrainer.decoder_depth": (1, ALL),
    "pretrainer.normalise": (False, ALL),
    "semi.steps": (7, TUNED),  # the averaged network's memory is a share of them
    "semi.mu": (2, SEMI),
    "semi.skip_rejected": ("off", SEMI),
    "control.run": (False, frozenset({"finetune+"})),
    "control.lr": (0.7, frozenset({"finetune+"})),
    "eval.decay": (0.3, TUNED),
    "eval.buffers": ("copy", ALL),
    "stages": ("finetune,semi", ALL),
    "seed": (1, ALL),
    "threads": (3, NONE),
    "grad_checkpoint": (True, NONE),
    "track": ("tensorboard", NONE),
    "compile": (True, ALL),
    "fsdp": (True, ALL),
}
# A data set has its own folder of tests, mirrored digits are refused, there is one pretrainer, weights are a file, and
# what device and precision come to is asked of the machine below.
ELSEWHERE = {"data.name", "data.dir", "data.download", "pretrainer.name", "weights", "device", "precision"}
ELSEWHERE |= {"time"}  # tests/cli/test_time.py
ELSEWHERE |= {"pretrain.data", "pretrain.dir"}  # tests/cli/test_pretrain.py
ELSEWHERE |= {"eval.patience"}  # tests/training/test_patience.py
ELSEWHERE |= {f"data.{column}" for column in ("image", "label", "split", "group")}  # tests/datasets/test_columns.py
ELSEWHERE |= {"data.train", "data.unlabeled"}  # tests/datasets/test_layouts.py
ELSEWHERE |= {"data.multilabel"}  # tests/data/test_label_sets.py
ELSEWHERE |= {"data.open_set"}  # tests/data/test_open_set.py
ELSEWHERE |= {"predictions"}  # tests/prepare/test_guides.py
ELSEWHERE |= {"data.white", "data.bands"}  # tests/datasets/test_depth.py
ELSEWHERE |= {"weights_container", "weights_partial"}  # tests/weights/test_heads.py, tests/weights/test_starting.py
FREE = {"threads", "data.cache_gb", "data.workers", "grad_checkpoint", "track"}  # not in the name of the run either
FREE |= {f"views.medium.{name}" for name in MEDIUM}
ELSEWHERE |= {f"views.{name}.flip" for name in ("weak", "medium", "strong", "pretrain")}


def test_no_field_is_forgotten() -> None:
    assert set(flatten(base().config)) - ELSEWHERE == set(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_field_flips_the_keys_of_its_stages(key: str) -> None:
    value, expected = FIELDS[key]
    assert flatten(base().config)[key] != value
    changed = prepare(BASE | {key: value})
    assert flipped(changed) == expected
    assert (run_digest(changed) != run_digest(base())) == (key not in FREE)


@pytest.mark.parametrize("name", MEDIUM)
def test_medium_views_are_in_the_keys_of_what_asks_for_them(name: str) -> None:
    asks = BASE | {"algo": "sequencematch"}
    first, other = prepare(asks), prepare(asks | {f"views.medium.{name}": MEDIUM[name]})
    before, after = stage_keys(first), stage_keys(other)
    assert {label for label in before if before[label] != after[label]} == SEMI
    assert run_digest(first) != run_digest(other)


def test_a_run_from_before_there_were_medium_views_keeps_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """However they are drawn, and whether they may be mirrored."""
    now, said = run_digest(base()), flatten(base().config)
    monkeypatch.setattr(
        record, "flatten", lambda _: {k: v for k, v in said.items() if not k.startswith("views.medium")}
    )
    assert run_digest(base()) == now


@pytest.mark.parametrize("key", ["device", "precision"])
def test_requests_to_the_machine_are_in_the_name_of_the_run(key: str) -> None:
    other = {"device": "auto", "precision": "fp32"}[key]
    assert run_digest(prepare(BASE | {key: other})) != run_digest(base())


@pytest.mark.parametrize("machine", [Machine("cuda", "fp32", 1), Machine("cpu", "bf16", 1), Machine("cpu", "fp32", 2)])
def test_what_the_machine_came_to_is_in_every_key(machine: Machine) -> None:
    assert flipped(base(), machine) == ALL


def test_data_are_in_every_key() -> None:
    images = replace(base().images, fingerprint="other")
    assert flipped(replace(base(), images=images)) == ALL


def test_data_and_split_are_in_the_name_of_the_run() -> None:
    """A label file, or an image, that changed under the same name."""
    fresh = base()
    split = replace(fresh.split, labeled=fresh.split.labeled[1:])
    names = {run_digest(replace(fresh, images=replace(fresh.images, fingerprint="other"))), run_digest(fresh)}
    assert len(names | {run_digest(replace(fresh, split=split))}) == 3


def test_the_same_request_has_the_same_keys() -> None:
    assert stage_keys(prepare(BASE)) == stage_keys(base())


def test_seeds_share_nothing_and_semi_needs_its_parent() -> None:
    specs = {stage.label: stage.spec for stage in stages(base(), CPU)}
    assert specs["pretrain"].parent == ""
    assert specs["finetune"].parent == specs["pretrain"].key
    assert specs["semi"].parent == specs["finetune+"].parent == specs["finetune"].key
    assert replace(specs["semi"], parent="x").key != specs["semi"].key


def test_control_shares_its_draws_with_semi_but_not_its_key() -> None:
    specs = {stage.label: stage.spec for stage in stages(base(), CPU)}
    assert specs["finetune+"].draws == specs["semi"].draws != specs["finetune"].draws
    assert specs["finetune+"].key != specs["semi"].key
    assert specs["finetune+"].training["steps"] == specs["semi"].training["steps"]
    assert "pool" not in specs["finetune+"].data


def test_source_of_a_part_is_in_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (PLUGINS / "swap.py").read_text()
    keys, digests = [], []
    for content in (text, text + "x = 1\n"):
        monkeypatch.setattr(registry, "plugins", {})
        file = tmp_path / "swap.py"
        file.write_text(content)
        load_plugin(file)
        prepared = prepare(BASE | {"mixer": "swap"})
        keys.append(stage_keys(prepared))
        digests.append(run_digest(prepared))
    assert keys[0]["semi"] != keys[1]["semi"]
    assert keys[0]["finetune"] == keys[1]["finetune"]
    assert digests[0] != digests[1]


def test_where_a_plugin_lies_is_not_in_the_name_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = []
    for folder in ("a", "b"):
        monkeypatch.setattr(registry, "plugins", {})
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "swap.py"
        file.write_text((PLUGINS / "swap.py").read_text())
        load_plugin(file)
        digests.append(run_digest(prepare(BASE | {"mixer": "swap"})))
    assert digests[0] == digests[1]
