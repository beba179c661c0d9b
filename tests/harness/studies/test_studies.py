"""Studies: those in the box make sense, one of one's own is read, and mistakes are answered."""

from __future__ import annotations

import importlib.metadata
import itertools
import tomllib
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.config.resolve import named, read_toml, resolve
from sslkit.harness import load
from sslkit.harness.plan.arms import _known, plan
from sslkit.harness.studies import SCALES, Study, read_study, studies
from sslkit.prepare import prepare
from sslkit.recipes import recipes
from tests.cli.call import assert_refused, sslkit
from tests.conftest import real
from tests.harness.work.test_compare import SMALL

OWN = """
question = "Does it?"
reference = "plain"
[arms.plain]
algo = "fixmatch"
[arms."soft 0.5"]
algo = "fixmatch"
"labeler.tau" = 0.5
[quick]
seeds = 2
labels = ["4/class"]
[quick.set]
"semi.clip" = 1.0
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def scales(name: str) -> list[str]:
    """Those that a study has; a quick one of other data than digits is not here either."""
    told = tomllib.loads(studies()[name].read_text())
    return [scale for scale in SCALES if scale in told and not (scale == "quick" and "data" not in told["quick"])]


LARGER = [(name, scale) for name in studies() for scale in scales(name)]


@pytest.mark.parametrize("name", [name for name in studies() if (name, "quick") not in LARGER])
def test_studies_in_the_box_at_quick_scale(name: str) -> None:
    study = read_study(name, "quick")
    assert study.question.endswith("?")
    assert study.seeds >= 8
    made = plan({}, study.arms, study.conditions, study.seeds, study.reference, settings=study.settings)
    for condition, arms in made.requests.items():
        assert set(arms) == (set(study.arms) if "all" not in condition.split(", ") else {"finetune"})
        assert all(prepare(made.request(arm, condition, 0)) for arm in arms)


@pytest.mark.parametrize(("name", "scale"), LARGER)
def test_studies_in_the_box_at_larger_scales(name: str, scale: str) -> None:
    """Their data is not here: all that needs no data is resolved."""
    study = read_study(name, scale)
    assert study.seeds >= {"quick": 1, "small": 5, "paper": 3}[scale]
    for values in itertools.product(*study.conditions.values()):
        condition = dict(zip(study.conditions, values, strict=True))
        for arm, keys in study.arms.items():
            common = named(study.settings({*map(str, values), arm})) | condition
            flat = _known(common, named(keys), list(map(named, study.arms.values()))) | named(keys)
            config = resolve(flat, registry.load("dataset", flat["data.name"]), lambda: "vit_micro")
            assert config.data.labels == condition["data.labels"]
            assert scale != "paper" or config.semi.epochs == 100 or config.backbone.name == "vit_huge"


def test_a_paper_study_has_the_recipes_settings() -> None:
    study = read_study("semi_vit", "paper")
    for size, labels in itertools.product(("base", "large", "huge"), ("1", "10")):
        found = study.settings({f"{labels}%", f"vit_{size}", "Semi-ViT"})
        assert found == read_toml(recipes()[f"semivit_{size}_{labels}p"])
    assert study.settings({"all", "vit_base"})["finetune.lr"] == 5e-4


def test_settings_are_of_what_a_run_is_called() -> None:
    table = {"a": 1, "b": 1, "x": {"b": 2, "all": {"b": 3}}, "arm": {"a": 5}}
    study = Study("", "", {}, 3, 0, {}, table)
    assert study.settings(set()) == {"a": 1, "b": 1}
    assert study.settings({"x"}) == {"a": 1, "b": 2}
    assert study.settings({"x", "all", "arm"}) == {"a": 5, "b": 3}
    assert study.settings({"all"}) == {"a": 1, "b": 1}


def test_a_scale_may_have_some_of_the_arms() -> None:
    assert set(read_study("mixers", "small").arms) == {"fixmatch", "none", "pseudo_plus", "prob_pseudo"}
    assert next(iter(read_study("mixers", "quick").arms)) == "none"
    assert len(read_study("mixers", "paper").arms) == 5


def test_the_command_line_beats_a_study() -> None:
    Path("mine.toml").write_text(OWN + '[quick.set.vit_micro]\n"finetune.steps" = 50\n"semi.lr" = 3e-3\n')
    made = sslkit("compare", "--study", "mine.toml", *SMALL, "--seeds", 1)
    assert made.code == 0, made.err
    (requests,) = sslkit("table", "--format", "json").json["comparison"]["requests"].values()
    assert requests["plain"]["finetune.steps"] == 2
    assert requests["plain"]["semi.lr"] == 3e-3


def test_a_study_of_ones_own() -> None:
    Path("mine.toml").write_text(OWN)
    made = sslkit("compare", "--study", "mine.toml", *SMALL)
    assert made.code == 0, made.err
    assert "Does it?" in made.err
    (folder,) = Path("runs").glob("mine-*")
    frame = load(folder)
    assert set(frame["row"]) == {"finetune", "finetune+", "plain", "soft 0.5"}
    (requests,) = sslkit("table", "mine", "--format", "json").json["comparison"]["requests"].values()
    assert requests["plain"]["semi.clip"] == 1.0


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (None, ["--study", "mixer"], "did you mean 'mixers'"),
        (None, ["--study", "gone.toml"], "cannot read study"),
        (("[arms.", "[armes."), ["--study", "mine.toml"], "no table [arms.NAME]"),
        (("seeds = 2", ""), ["--study", "mine.toml"], "[quick]: seeds must be a whole number, got None"),
        (("seeds = 2", "seeds = true"), ["--study", "mine.toml"], "seeds must be a whole number, got True"),
        (("seeds = 2", 'seeds = 2\nfirst_seed = "3"'), ["--study", "mine.toml"], "first_seed must be a whole number"),
        (("question", "qestion"), ["--study", "mine.toml"], "unknown qestion; known are question"),
        (("seeds = 2", "seeds = 2\narms = 3"), ["--study", "mine.toml"], "arms = [3] must be names of tables"),
        (("seeds = 2", "seeds = 2\narms = []"), ["--study", "mine.toml"], "arms is empty"),
        (('["4/class"]', "[]"), ["--study", "mine.toml"], "labels is empty"),
        (('[quick.set]\n"semi.clip" = 1.0', 'set = "x"'), ["--study", "mine.toml"], "set must be a table of keys"),
        (('"semi.clip" = 1.0', "recipe = 3"), ["--study", "mine.toml"], "unknown recipe '3'"),
        (('"semi.clip" = 1.0', "seed = 3"), ["--study", "mine.toml"], "seed=3: a comparison has the seeds"),
        (('arms."soft 0.5"', 'arms."finetune+"'), ["--study", "mine.toml"], "no arm can be called 'finetune+'"),
        (('arms."soft 0.5"', 'arms."finetune, soft"'), ["--study", "mine.toml"], "no arm can be called"),
        (
            ('arms."soft 0.5"', 'arms."so\\nft"'),
            ["--study", "mine.toml"],
            "'so\\nft' has letters that cannot be printed",
        ),
        (('arms."soft 0.5"', "arms.semi"), ["--study", "mine.toml"], "no arm can be called 'semi'"),
        (("labels =", "label ="), ["--study", "mine.toml"], "unknown label"),
        (('"plain"', '"plane"'), ["--study", "mine.toml"], "is none of finetune, finetune+, probe, plain"),
        (("[quick]", "[quick"), ["--study", "mine.toml"], "is not a TOML file"),
        (None, ["--study", "mixers", "--scale", "huge"], "no table [huge]"),
        (
            ("seeds = 2", 'seeds = 2\narms = ["plane"]'),
            ["--study", "mine.toml"],
            "must be names of tables [arms.NAME]: plain",
        ),
        (("[quick.set]", "[quick.set.vit_mico]"), ["--study", "mine.toml"], "called 'vit_mico'"),
        (None, ["--study", "mixers", "--set", "labeler.tua=1"], "labeler.tua"),
        (None, ["--study", "mixers", "--set", "algo.lambda=1"], "algo.lambda"),
        (None, ["--study", "mixers", "--algo", "fixmatch"], "a study has its own arms"),
        (('"labeler.tau"', '"labeler.tua"'), ["--study", "mine.toml"], "labeler.tua"),
    ],
    ids=str,
)
def test_mistakes(change: tuple[str, str] | None, arguments: list[str], words: str) -> None:
    Path("mine.toml").write_text(OWN.replace(*change) if change else OWN)
    assert_refused(sslkit("compare", *arguments), words)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with a study; importing it is an error."""
    (tmp_path / "soft_kit").mkdir()
    (tmp_path / "soft_kit" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "soft_kit" / "soft.toml").write_text(OWN)
    about = tmp_path / "soft_kit-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: soft-kit\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[sslkit.studies]\nsoft = soft_kit:soft.toml\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(importlib.metadata, "entry_points", real)
    return about / "entry_points.txt"


def test_a_package_brings_a_study(package: Path) -> None:
    listed = {row["name"]: row for row in sslkit("list", "studies", "--json").json["studies"]}
    assert listed["soft"]["question"] == "Does it?"
    assert listed["soft"]["scales"] == "quick"
    assert listed["mixers"]["origin"] == "built in"
    assert set(read_study("soft", "quick").arms) == {"plain", "soft 0.5"}
    assert "Does it?" in sslkit("list", "studies").out


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ("soft = soft_kit:Soft", "must be PACKAGE:FILE.toml"),
        ("soft = gone_kit:soft.toml", "must be PACKAGE:FILE.toml"),
        ("soft = soft_kit:gone.toml", "cannot read study soft"),
        ("mixers = soft_kit:soft.toml", "two studies are called 'mixers'"),
    ],
)
def test_a_package_with_a_mistake(package: Path, point: str, words: str) -> None:
    package.write_text(f"[sslkit.studies]\n{point}\n")
    assert_refused(sslkit("list", "studies"), words)
