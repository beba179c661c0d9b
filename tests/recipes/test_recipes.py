"""Every recipe against the published table, copied here by hand, and two steps of each on a small twin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from sslkit import registry
from sslkit.config import Config
from sslkit.config.resolve import named, resolve
from sslkit.recipes import about, layers, recipes
from tests.cli.call import sslkit
from tests.docs.page import text

# Fine-tuning: batch, rate after scaling, layer decay, epochs, warm-up epochs, drop path, erasing, mixing, EMA decay.
FINETUNE = {
    "semivit_base_1p": (512, 1e-4, 0.65, 100, 5, 0, 0, False, 0),
    "semivit_base_10p": (512, 5e-4, 0.65, 100, 5, 0.1, 0.25, True, 0),
    "semivit_large_1p": (512, 2e-3, 0.75, 50, 5, 0, 0, False, 0),
    "semivit_large_10p": (512, 2e-3, 0.75, 50, 5, 0.1, 0.25, True, 0),
    "semivit_huge_1p": (128, 5e-3, 0.75, 50, 5, 0, 0, False, 0),
    "semivit_huge_10p": (128, 5e-4, 0.75, 50, 5, 0.2, 0.25, True, 0.9998),
    "semivit_base_10p_scratch": (1024, 4e-4, 1.0, 500, 50, 0.1, 0.25, True, 0.9999),
    "semivit_convnext_tiny_10p_scratch": (1024, 1e-3, 1.0, 500, 50, 0.1, 0.25, True, 0.9999),
}
# The semi stage: labelled and unlabelled batch, rate, layer decay, epochs, warm-up, tau, drop path, erasing, mixing.
SEMI = {
    "semivit_base_1p": (128, 640, 5e-4, 0.75, 100, 5, 0.6, 0, 0, False),
    "semivit_base_10p": (128, 640, 5e-4, 0.75, 100, 5, 0.5, 0.1, 0.25, True),
    "semivit_large_1p": (128, 640, 5e-4, 0.75, 100, 5, 0.6, 0.1, 0.25, True),
    "semivit_large_10p": (128, 640, 1e-3, 0.75, 100, 5, 0.6, 0.2, 0.25, True),
    "semivit_huge_1p": (64, 320, 1.25e-3, 0.75, 50, 5, 0.7, 0.05, 0.25, True),
    "semivit_huge_10p": (128, 640, 1.25e-3, 0.75, 50, 5, 0.6, 0.1, 0.25, True),
    "semivit_base_10p_scratch": (128, 640, 5e-4, 0.85, 100, 5, 0.5, 0.1, 0.25, True),
    "semivit_convnext_tiny_10p_scratch": (128, 640, 5e-4, 1.0, 100, 10, 0.7, 0.1, 0.25, True),
}
# What a measured `Here:` has -> how it is found. The hardware is in words of its own.
MEASURED = {
    "accuracy": r"\d+(\.\d+)? ?%",
    "seeds": r"\bseeds?\b",
    "seconds a step": r"\d s a step\b",
    "date": r"\b20\d\d-\d\d-\d\d\b",
}
TOP1 = {  # after finetune, after semi
    "semivit_base_1p": (57.4, 71.0),
    "semivit_base_10p": (73.7, 79.7),
    "semivit_large_1p": (67.1, 77.3),
    "semivit_large_10p": (79.2, 83.3),
    "semivit_huge_1p": (71.5, 80.0),
    "semivit_huge_10p": (81.4, 84.3),
    "semivit_base_10p_scratch": (57.0, 73.5),
    "semivit_convnext_tiny_10p_scratch": (61.2, 74.1),
}


def config_of(name: str) -> Config:
    flat = named(layers(name, None, {}))
    dataset = registry.load("dataset", flat["data.name"])
    return resolve(flat, dataset, lambda: pytest.fail("a recipe names its backbone"))


def rate(training: Any) -> float:
    return training.lr * (training.batch / 256 if training.scale_lr else 1)


def test_no_recipe_is_forgotten() -> None:
    assert set(recipes()) == {*FINETUNE, "semivit_small_1p", "semivit_small_10p", "fixmatch_cifar10_250"}
    assert FINETUNE.keys() == SEMI.keys() == TOP1.keys()


@pytest.mark.parametrize("name", FINETUNE)
def test_the_recipes_of_semi_vit_are_the_published_ones(name: str) -> None:
    config = config_of(name)
    batch, lr, layer_decay, epochs, warmup, drop_path, erase, mixed, decay = FINETUNE[name]
    f = config.finetune
    found: tuple[float | None, ...]
    found = (f.batch, rate(f), f.layer_decay, f.epochs, f.warmup * epochs, f.drop_path, f.erase, f.decay)
    assert found == pytest.approx((batch, lr, layer_decay, epochs, warmup, drop_path, erase, decay))
    assert (f.mixup, f.cutmix) == ((0.8, 1.0) if mixed else (0, 0))
    batch, unlabeled, lr, layer_decay, epochs, warmup, tau, drop_path, erase, mixed = SEMI[name]
    s = config.semi
    found = (s.batch, s.batch * s.mu, rate(s), s.layer_decay, s.epochs, s.warmup * epochs, s.drop_path, s.erase)
    assert found == pytest.approx((batch, unlabeled, lr, layer_decay, epochs, warmup, drop_path, erase))
    assert (s.mixup, s.cutmix) == ((0.8, 1.0) if mixed else (0, 0))
    assert config.labeler is not None
    assert config.labeler.options == {"tau": tau, "smoothing": 0.1}
    scratch, convnext = "scratch" in name, "convnext" in name
    assert config.algo.options["lambda_u"] == (10 if convnext else 5)
    assert (s.decay, config.decay) == (0.9999, 0.9999)
    for stage in (f, s):
        assert (stage.min_lr, stage.smoothing, stage.clip, stage.optimizer) == (1e-6, 0.1, 0, "adamw")
    assert f.weight_decay == (0.3 if scratch and not convnext else 0.05)
    assert f.beta2 == (0.95 if scratch and not convnext else 0.999)
    assert (s.weight_decay, s.beta2) == (0.05, 0.999)
    assert (config.data.size, config.data.crop, config.data.whole) == (224, 224 / 256, True)
    assert config.data.labels == ("1%" if name.endswith("_1p") else "10%")
    assert (config.weights is None) == scratch
    if not convnext:
        assert config.backbone.options["pool"] == ("token" if "huge" in name else "mean")
        assert config.backbone.options["pos_embed"] == ("sincos" if scratch else "learned")
    assert (config.views.labeled, config.views.strong.crop, config.views.weak.crop) == ("strong", 0.08, 0.08)
    assert config.views.strong.randaugment == "rand-m9-mstd0.5-inc1"
    for top1 in TOP1[name]:
        assert f"{top1:.1f}" in about(name)["published"]


def test_the_recipe_of_fixmatch_is_the_published_one() -> None:
    config = config_of("fixmatch_cifar10_250")
    s = config.semi
    assert (s.steps, s.batch, s.mu, s.lr, s.weight_decay) == (2**20, 64, 7, 0.03, 5e-4)
    assert (s.optimizer, s.schedule, s.warmup) == ("sgd", "long_cosine", 0)
    assert (config.stages, config.data.pool, config.data.labels) == ("semi", "all", "25/class")
    assert config.labeler is not None
    assert config.labeler.options == {"tau": 0.95, "smoothing": 0.0}
    assert config.algo.options == {"lambda_u": 1.0, "burn_in": 0.0, "joint": True}
    assert (config.decay, config.backbone.options["bn_momentum"]) == (0.999, 0.001)
    assert (config.views.strong.randaugment, config.views.strong.cutout) == ("fixmatch-n2", 0.5)


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_says_where_it_comes_from(name: str) -> None:
    said = about(name)
    assert set(said) == {"title", "here", "source", "published", "protocol", "hardware", "deviations"}
    assert all(said.values())


def amiss(name: str) -> list[str]:
    """What a recipe's `# Here: …`, its second line, lacks; nothing where it was not run and says so."""
    if not recipes()[name].read_text("utf-8").splitlines()[1].startswith("# Here: "):
        return ["a second line '# Here: …'"]
    here = about(name)["here"]
    return [] if here == "not run" else [what for what, pattern in MEASURED.items() if not re.search(pattern, here)]


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_says_what_it_gave_here(name: str) -> None:
    assert amiss(name) == []
    assert f"| {about(name)['here']} |" in next(
        row for row in text("docs/recipes.md").splitlines() if f"| {name} |" in row
    )


@pytest.mark.parametrize(
    ("lines", "lacking"),
    [
        ("# Source: somebody.", ["a second line '# Here: …'"]),
        ("#\n# Here: not run", ["a second line '# Here: …'"]),
        ("# Here: not run", []),
        ("# Here: not run yet", list(MEASURED)),
        ("# Here: 41.0 %, one H100.", ["seeds", "seconds a step", "date"]),
        ("# Here: scaled down, 41.0 %, 3 seeds, one H100,\n#   0.4 s a step, 2026-12-01.\n# Source: somebody.", []),
    ],
)
def test_a_recipe_without_what_it_gave_here_is_found(
    lines: str, lacking: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(f"# A recipe.\n{lines}\n\nstages = 'semi'\n", "utf-8")
    monkeypatch.setattr("sslkit.recipes.FOLDER", tmp_path)
    assert amiss("mine") == lacking


def test_the_list_says_what_recipes_gave_here() -> None:
    listed = sslkit("list", "recipes", "--json").json["recipes"]
    assert {row["name"]: row["here"] for row in listed} == {name: about(name)["here"] for name in recipes()}
    assert sslkit("list", "recipes").out.count("not run") == sum(about(name)["here"] == "not run" for name in recipes())


@pytest.mark.slow
@pytest.mark.parametrize("name", recipes())
def test_two_steps_of_a_recipe_on_a_small_twin(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stages, optimizer, mixing and views, on digits and a small network of the same kind."""
    monkeypatch.chdir(tmp_path)
    cnn = "convnext" in name or "fixmatch" in name
    small = [
        "--data",
        "digits",
        "--size",
        "16",
        "--labels",
        "10/class",
        "--backbone",
        "wrn_10_1" if cnn else "vit_micro",
    ]
    keys = {"semi.batch": 4, "finetune.batch": 4, "weights": "auto"}
    keys |= {
        f"{stage}.{key}": value for stage in ("finetune", "semi") for key, value in (("epochs", "auto"), ("steps", 2))
    }
    keys |= {f"{stage}.drop_path": "auto" for stage in ("finetune", "semi")} if cnn else {}
    recipe = tmp_path / "recipe.toml"
    own = "[backbone]"
    head, _, tail = recipes()[name].read_text("utf-8").partition(own)
    section, _, rest = tail.partition("\n[")
    kept = [line for line in section.splitlines() if line.startswith(("pool", "pos_embed", "head_std")) and not cnn]
    recipe.write_text(f"{head}{own}\n" + "\n".join([*kept, "[" + rest]))
    sets = [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
    made = sslkit("run", "--config", recipe, *small, *sets, "--threads", 1, "--precision", "fp32", "--json")
    assert made.code == 0, made.err
    assert made.json["stages"][-1]["stage"] == "semi"


def test_an_unknown_recipe_is_answered() -> None:
    made = sslkit("run", "--recipe", "semivit_base_1")
    assert made.code == 2
    assert "did you mean 'semivit_base_1p'" in made.err
    listed = sslkit("list", "recipes", "--json").json["recipes"]
    assert [row["name"] for row in listed] == list(recipes())
