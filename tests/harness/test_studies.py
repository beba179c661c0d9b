"""Studies: those in the box make sense, one of one's own is read, and mistakes are answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.harness import load
from sslkit.harness.arms import plan
from sslkit.harness.studies import read_study, studies
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, sslkit
from tests.harness.test_compare import SMALL

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
    monkeypatch.setattr("sslkit.pipeline.step_seconds", lambda *_: {})


@pytest.mark.parametrize("name", studies())
def test_studies_in_the_box_at_quick_scale(name: str) -> None:
    study = read_study(name, "quick")
    assert study.question.endswith("?")
    assert study.seeds >= 8
    made = plan({}, study.arms, study.conditions, study.seeds, study.reference, settings=study.settings)
    for condition, arms in made.requests.items():
        assert set(arms) == (set(study.arms) if "all" not in condition.split(", ") else {"finetune"})
        assert all(prepare(made.request(arm, condition, 0)) for arm in arms)


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
        (("seeds = 2", ""), ["--study", "mine.toml"], "no table [quick] with seeds"),
        (("labels =", "label ="), ["--study", "mine.toml"], "unknown label"),
        (('"plain"', '"plane"'), ["--study", "mine.toml"], "is none of finetune, finetune+, plain"),
        (("[quick]", "[quick"), ["--study", "mine.toml"], "is not a TOML file"),
        (None, ["--study", "mixers", "--scale", "huge"], "no table [huge]"),
        (None, ["--study", "mixers", "--algo", "fixmatch"], "a study has its own arms"),
        (('"labeler.tau"', '"labeler.tua"'), ["--study", "mine.toml"], "labeler.tua"),
    ],
    ids=str,
)
def test_mistakes(change: tuple[str, str] | None, arguments: list[str], words: str) -> None:
    Path("mine.toml").write_text(OWN.replace(*change) if change else OWN)
    assert_refused(sslkit("compare", *arguments), words)
