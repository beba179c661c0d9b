"""The paper's table, label efficiency and costs in tables of a comparison."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pandas as pd
import pytest

from sslkit.harness import load
from sslkit.harness.numbers.frame import results
from sslkit.harness.pages.paper import FILE, _value, paper
from tests.cli.call import Call, sslkit
from tests.harness.work.test_compare import SMALL, Fixmatch, elsewhere, folder  # noqa: F401

STUDY = ["--study", "semi_vit", "--labels", "4/class,10/class,all", "--backbone", "vit_micro", "--seeds", 3]
# facts that were copied by hand from the published tables: model, method, 1%, 10%, 100%
FACTS = {
    ("ViT-B", "finetune"): (57.4, 73.7, 83.7),
    ("ViT-B", "Semi-ViT"): (71.0, 79.7, None),
    ("ViT-B", "EMA-Teacher, no mixup"): (65.3, 78.1, None),
    ("ViT-L", "finetune"): (67.1, 79.2, 86.0),
    ("ViT-L", "Semi-ViT"): (77.3, 83.3, None),
    ("ViT-H", "finetune"): (71.5, 81.4, 86.9),
    ("ViT-H", "Semi-ViT"): (80.0, 84.3, None),
    ("ViT-S (DINO)", "Semi-ViT"): (None, 77.1, None),
    ("ViT-S, from scratch", "finetune"): (None, 56.2, None),
    ("ViT-S, from scratch", "Semi-ViT"): (None, 70.9, None),
    ("ViT-B, from scratch", "finetune"): (None, 57.0, None),
    ("ViT-B, from scratch", "EMA-Teacher, no mixup"): (None, 68.9, None),
    ("ViT-B, from scratch", "Semi-ViT"): (None, 73.5, None),
    ("ConvNeXt-T, from scratch", "finetune"): (None, 61.2, None),
    ("ConvNeXt-T, from scratch", "Semi-ViT"): (None, 74.1, None),
    ("ConvNeXt-S, from scratch", "finetune"): (None, 64.1, None),
    ("ConvNeXt-S, from scratch", "Semi-ViT"): (None, 75.1, None),
    ("ResNet-50", "FixMatch-EMAN"): (63.0, 74.0, None),
    ("ResNet-50", "PAWS, 300 epochs"): (66.5, 75.5, None),
    ("ResNet-50 (2x)", "PAWS"): (69.6, 77.8, None),
    ("ResNet-50 (4x)", "PAWS"): (69.9, 79.0, None),
    ("ResNet-50", "SimCLRv2, distilled"): (73.9, 77.5, None),
    ("ResNet-50", "Meta Pseudo Labels"): (None, 73.89, None),
    ("ViT and CNN", "Semiformer"): (None, 75.5, None),
}


def test_published_figures_are_the_facts_and_have_a_source_and_a_protocol() -> None:
    told = tomllib.loads(FILE.read_text("utf-8"))
    found = {(r["model"], r["method"]): tuple(r.get(c) for c in ("1%", "10%", "100%")) for r in told["rows"]}
    assert found == FACTS
    for row in told["rows"]:
        assert row["protocol"] in told["protocols"]
        assert {*row["source"].split(", ")} <= told["sources"].keys()


@pytest.mark.slow
def test_the_papers_table_of_what_was_run_here() -> None:
    made = sslkit("compare", *STUDY, *SMALL, "--equal-compute")
    assert made.code == 0, made.err
    (place,) = Path("runs").glob("semi_vit-*")
    frame, table = load(place), paper(results(place))
    assert list(table.columns[:6]) == ["Model", "Params", "Method", "4/class", "10/class", "all"]
    ours = table[table["Model"] == "vit_micro, digits"].set_index("Method")
    assert set(ours.index) == {"finetune", "finetune+", "Semi-ViT", "finetune+, equal compute"}
    for method, labels in (("finetune", "all"), ("finetune", "4/class"), ("Semi-ViT", "10/class")):
        mine = frame[(frame["condition"] == f"{labels}, vit_micro") & (frame["row"] == method)]["top1"]
        assert ours.loc[method, labels] == f"{mine.mean():.1f} ± {mine.std():.1f}"
    assert ours.loc["Semi-ViT", "all"] == ""
    both = frame[frame["condition"] == "4/class, vit_micro"].pivot(index="seed", columns="row", values="top1")
    assert ours.loc["Semi-ViT", "gain 4/class"] == f"{(both['Semi-ViT'] - both['finetune']).mean():+.1f}"
    assert not ours[[c for c in table if c.startswith("published")]].any().any(), "no published value of digits"
    theirs = table[table["Model"] == "ViT-B"]
    assert set(theirs["4/class"]) == {"not run"}
    assert theirs["published 10%"].tolist() == ["73.7", "78.1", "79.7"]
    formats(made)


def formats(made: Call) -> None:
    """Of the same comparison."""
    assert "Semi-ViT, arXiv:2208.05688" in made.out
    for form in ("rich", "markdown", "latex", "csv"):
        shown = sslkit("table", "--style", "paper", "--format", form).out
        assert "not run" in shown, form
        assert "79.7" in shown, form
    told = sslkit("table", "--json").json
    assert {row["Method"] for row in told["paper"]} >= {"Semi-ViT", "Semiformer"}
    assert told == sslkit("table", "--format", "json").json
    cost = {(line["condition"], line["row"]): line for line in told["stability and cost"]}
    line = cost["4/class, vit_micro", "Semi-ViT"]
    assert line["equal cost"] == cost["4/class, vit_micro", "finetune+, equal compute"]["steps"]
    worth = [text for text in told["worth"] if text.startswith("4/class, vit_micro: Semi-ViT with 40 labels")]
    assert len(worth) == 1
    assert "is as accurate as finetune with" in worth[0]
    markdown = sslkit("table", "--format", "markdown").out
    assert all(text in markdown for text in (worth[0], "| equal cost", "| flags") if "flags" not in text)


@pytest.mark.parametrize("failed", [0, 1, 2, 3])
def test_how_many_seeds_a_mean_is_of_is_said_where_some_failed(failed: int) -> None:
    top1 = [float("nan")] * failed + [50.0, 60.0, 70.0][failed:]
    value = _value(pd.DataFrame({"top1": top1, "error": ["damaged"] * failed + [""] * (3 - failed)}))
    assert value == ["60.0 ± 10.0", "65.0 ± 7.1 (2 of 3 seeds)", "70.0 (1 of 3 seeds)", "not run"][failed]


def test_other_comparisons_have_the_papers_table_on_demand(fixmatch: Fixmatch) -> None:
    fixmatch(1)
    assert "published" not in sslkit("table").out
    assert "published" in sslkit("table", "--style", "paper").out
    assert "published" not in sslkit("table", "--format", "markdown").out


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of hostile names are, which all formats have in common."""
    return tmp_path_factory.mktemp("hostile") / "runs"


@pytest.mark.parametrize("form", ["csv", "markdown", "rich", "latex"])
def test_hostile_names_are_harmless(form: str, store: Path) -> None:
    Path("mine.toml").write_text(
        'reference = "finetune+"\n[arms."=1+1 | [red]:car:x[/red] <b>"]\nalgo = "fixmatch"\n[quick]\nseeds = 1\n'
    )
    made = sslkit("compare", "--study", "mine.toml", *SMALL, "--format", form, "--runs", store)
    assert made.code == 0, made.err
    if form == "csv":
        assert "'=1+1 | [red]:car:x[/red] <b>" in made.out
    elif form == "markdown":
        assert "=1+1 \\| [red]:car:x[/red] &lt;b>" in made.out
    else:
        assert "[red]:car:x[/red]" in made.out
        assert "\\[" not in made.out
