"""Tables of comparisons that are made up, against values computed here from the same numbers."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslkit.harness import studies
from sslkit.harness.numbers import answers
from sslkit.harness.numbers.frame import COLUMNS, Results, right
from sslkit.harness.pages import cost_table, formats, tables
from sslkit.harness.pages.paper import FILE
from sslkit.harness.work import compare
from sslkit.store import checkpoint

WIDE = ("CI, seeds and images", "adjusted p")  # columns that a line of the screen has no room for


DRAW = np.random.default_rng(11)
ROWS = ("finetune", "finetune+", "a", "b", "c")


def made_up(top1: dict[tuple[str, str, int], float], **about: Any) -> Results:
    """(condition, row, seed) -> top-1; what is not a number failed."""
    lines = [
        {"condition": c, "row": r, "seed": s, "top1": x, "seconds": 1.0, "flags": "", "versions": "",
         "key": f"{c}{r}{s}", "error": "it failed" if np.isnan(x) else ""}
        for (c, r, s), x in top1.items()
    ]  # fmt: skip
    told = {
        "comparison": {"reference": "finetune+", "conditions": {}},
        "study": "",
        "labeled": {},
        "costs": {},
        "differences": {},
    } | about
    return Results(Path("gone"), told, pd.DataFrame(lines, columns=list(COLUMNS)))


@pytest.fixture(autouse=True)
def predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "right", lambda _, keys: np.eye(len(keys), 40) > 0)


def drawn(seeds: int, conditions: int, fails: float = 0.0) -> dict[tuple[str, str, int], float]:
    """Accuracies in steps of a quarter of a point, so that there are ties."""
    found = {}
    for condition, row in itertools.product([f"c{i}" for i in range(conditions)], ROWS):
        gain, spread = DRAW.normal(0, 2), DRAW.choice([0.3, 2.0])
        for seed in range(seeds):
            value = round(4 * (80 + gain + spread * DRAW.normal())) / 4
            found[condition, row, seed] = float("nan") if DRAW.random() < fails else value
    return found


def expected(top1: dict[tuple[str, str, int], float]) -> dict[tuple[str, str], dict[str, str]]:
    """Cells of the rows that are compared, one number at a time."""
    pairs: dict[tuple[str, str], list[float]] = {}
    for (condition, row, seed), value in top1.items():
        apart = value - top1[condition, "finetune+", seed]
        pairs.setdefault((condition, row), []).extend([] if np.isnan(apart) else [apart])
    pairs = {place: d for place, d in pairs.items() if place[1] != "finetune+"}
    asked = [place for place in pairs if place[1] != "finetune"]
    raw: dict[tuple[str, str], float] = {}
    for place in asked:
        d = pairs[place]
        if len(d) >= 3 and 2.0 ** (1 - len(d)) <= 0.05 / len(asked):
            flips = [abs(sum(np.multiply(signs, d))) for signs in itertools.product((1, -1), repeat=len(d))]
            raw[place] = float(np.mean([x >= abs(sum(d)) - 1e-9 for x in flips]))
    adjusted: dict[tuple[str, str], float] = {}
    for rank, place in enumerate(sorted(raw, key=lambda place: raw[place])):
        adjusted[place] = max([min(1.0, (len(asked) - rank) * raw[place]), *adjusted.values()])
    found = {}
    for place, d in pairs.items():
        if len(d) < 3:
            found[place] = {"verdict": f"{len(d)} seed{'s' * (len(d) != 1)}: values only", "wins": ""}
            continue
        among = len(asked) if place in asked else 1
        ends = [stats.ttest_1samp(d, 0).confidence_interval(1 - a) for a in (0.05, 0.05 / among)] if np.ptp(d) else []
        (low, high), wide = ends or [(d[0], d[0]), (0.0, 0.0)]
        sure = adjusted[place] <= 0.05 if place in adjusted else wide[0] > 0 or wide[1] < 0
        says = "equivalent within ±1" if low > -1 and high < 1 else "not significant"
        says = "better" if sure and low > 0 else "worse" if sure and high < 0 else says
        ties = f" ({d.count(0)} =)" if d.count(0) else ""
        found[place] = {
            "difference": f"{np.mean(d):+.1f}", "95% CI": between(low, high),
            "verdict": says if place in asked else "not tested",
            "wins": f"{sum(x > 0 for x in d)} of {len(d)}{ties}",
        }  # fmt: skip
        if place in adjusted:
            found[place]["adjusted p"] = f"{adjusted[place]:.2g}"
    return found


def between(low: float, high: float) -> str:
    """One decimal; an end that would be 0.0 and is not has two."""
    return " to ".join(f"{x:+.1f}" if x == 0 or abs(x) >= 0.05 else f"{x:+.2f}" for x in (low, high))


@pytest.mark.filterwarnings("ignore:Precision loss")
@pytest.mark.parametrize(
    ("seeds", "conditions", "fails"),
    [(1, 1, 0), (3, 1, 0), (3, 2, 0.3), (4, 1, 0.1), (5, 2, 0), (8, 1, 0), (8, 2, 0.1), (10, 2, 0.05)],
)
def test_every_cell_is_what_its_numbers_give(seeds: int, conditions: int, fails: float) -> None:
    for _ in range(4):
        top1 = drawn(seeds, conditions, fails)
        known = made_up(top1)
        shown = tables.summary(known, answers.answers(known)).set_index(["condition", "row"])
        for place, cells in expected(top1).items():
            assert {name: shown.loc[place, name] for name in cells} == cells, (place, top1)


def test_a_reference_that_failed_leaves_values() -> None:
    top1 = drawn(4, 1) | {("c0", "finetune+", seed): float("nan") for seed in range(4)}
    known = made_up(top1)
    shown = tables.summary(known, answers.answers(known)).set_index("row")
    assert shown.loc["a", "verdict"] == "0 seeds: values only"
    assert shown.loc["finetune+", "top-1 %"] == "not run"
    assert " ± " in shown.loc["a", "top-1 %"]


def rendered(known: Results, form: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(formats, "results", lambda _: known)
    return " ".join(formats.text(Path("gone"), form).split())


@pytest.mark.parametrize(("seeds", "skewed"), [(3, 89), (5, 88), (10, 89)])
@pytest.mark.parametrize("form", ["rich", "markdown", "latex", "json"])
def test_a_table_says_how_far_its_intervals_can_be_trusted(
    seeds: int, skewed: int, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = rendered(made_up(drawn(seeds, 1)), form, monkeypatch)
    assert f"95% where differences are about normal, {skewed}% where" in text.replace("\\%", "%")
    assert f"CI at n = {seeds}, simulated" in text
    assert "Bonferroni" in text


def test_a_table_without_intervals_says_nothing_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    text = rendered(made_up(drawn(2, 1)), "markdown", monkeypatch)
    assert "Coverage" not in text
    assert "mean ± SD" in text


def test_a_note_explains_the_columns_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    known = made_up(drawn(8, 2))
    columns = ("top-1 %", "worst", "kept %", "correct %", "difference", "95% CI", *WIDE)
    markdown, rich = (rendered(known, form, monkeypatch) for form in ("markdown", "rich"))
    for column in columns:
        assert f"{column}: " in markdown
        assert (f"{column}: " in rich) == (column not in ("worst", *WIDE))
    assert "6 comparisons" in markdown
    verdict = next(a for a in answers.answers(known) if a.row == "a")
    assert verdict.found is not None
    assert verdict.found.p_adjusted is not None
    assert f"n = 8, adjusted p = {verdict.found.p_adjusted:.2g})" in rich, "where there is no column for it"


def test_where_no_p_can_be_a_sentence_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "n = 3, 7 seeds needed for p <= 0.05)" in rendered(made_up(drawn(3, 1)), "rich", monkeypatch)


def test_flags_are_columns_and_counted_among_the_runs_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    known = made_up(drawn(4, 1))
    mine = known.frame["row"] == "a"
    known.frame.loc[mine, "flags"] = ["spikes", "", "", ""]
    known.frame.loc[mine & (known.frame["seed"] == 3), "error"] = "not run yet"
    assert "spikes (1 of 3)" in rendered(known, "markdown", monkeypatch)
    assert "spikes (1 of 3)" in rendered(known, "rich", monkeypatch)


def test_latex_notes_have_no_letter_that_latex_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    top1 = {(c, "a_b & 5% #1 {x} ~^\\" if r == "a" else r, s): x for (c, r, s), x in drawn(3, 1).items()}
    text = rendered(made_up(top1), "latex", monkeypatch)
    note = text.rpartition(r"\end{tabular}")[2]
    assert r"a\_b \& 5\% \#1 \{x\} \textasciitilde{}\textasciicircum{}\textbackslash{}" in note
    assert not re.search(r"(?<!\\)[%&#_]", note)
    assert text.isascii()


def test_seeds_with_other_test_images_have_no_common_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with data.tune, where each seed holds out images of its own."""
    import torch

    for key, labels in (("x", [0, 1, 1, 0]), ("y", [0, 1, 1]), ("z", [0, 1, 1, 1])):
        stored = {"label": torch.tensor(labels), "averaged": torch.eye(2)[torch.tensor(labels)]}
        (tmp_path / "stages" / key).mkdir(parents=True)
        checkpoint.save(tmp_path / "stages" / key / "predictions.safetensors", stored, {})
    assert right(tmp_path, ["x", "x"]) is not None
    assert right(tmp_path, ["x", "y"]) is None
    assert right(tmp_path, ["x", "z"]) is None
    monkeypatch.setattr(answers, "right", lambda *_: None)
    known = made_up(drawn(4, 1))
    assert set(tables.summary(known, answers.answers(known))["CI, seeds and images"]) == {"", "other images by seed"}


def test_equal_steps_are_those_of_the_rows_own_control() -> None:
    """Arms that begin differently, as with networks of their own, have each a control."""
    cost = {"parameters": 1, "images": 1, "before": 0.0}
    rows = {
        name: cost | {"steps": steps, "flops": flops}
        for name, steps, flops in [
            ("finetune+, a", 10, 1e9), ("a", 10, 3e9), ("finetune+, b", 10, 5e9), ("b", 10, 20e9),
            ("finetuned", 10, 2e9),
        ]
    }  # fmt: skip
    known = made_up({("c", row, 0): 1.0 for row in rows}, costs={"c": rows})
    shown = cost_table.costs(known).set_index("row")["equal cost"]
    assert shown.to_dict() == {"finetune+, a": "", "a": "30", "finetune+, b": "", "b": "40", "finetuned": "20"}


@pytest.mark.parametrize(("n", "words"), [(0, "0 arms"), (1, "1 arm"), (2, "2 arms")])
def test_one_of_a_thing_is_no_plural(n: int, words: str) -> None:
    from sslkit.terminal import count

    assert count(n, "arm") == words


def test_the_power_line() -> None:
    assert compare.power(1, 1) == "1 seed: values without intervals, which take 3 seeds"
    four, eight = compare.power(8, 4), compare.power(8, 8)
    assert "smallest p that 8 seeds can reach (sign-flip test): 0.0078, 0.031 adjusted for 4 comparisons;" in four
    assert "smallest difference detected with 80% power: 1.9 times the SD of the differences" in four
    assert eight.startswith("8 seeds cannot reach p <= 0.05 by the sign-flip test in 8 comparisons (9 seeds can)")


@pytest.mark.parametrize("form", ["rich", "markdown", "latex", "json"])
def test_what_was_published_stands_beside_the_verdicts(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rendered(made_up(drawn(3, 1), study="cnn_vs_vit"), form, monkeypatch)
    assert "is the gain of semi-vit one of transformers" in text.lower()
    assert "Published: both gain" in text
    assert "Published" not in rendered(made_up(drawn(3, 1)), form, monkeypatch)
    assert "Published" not in rendered(made_up(drawn(3, 1), study="gone.toml"), form, monkeypatch)


def test_claims_of_studies_are_differences_of_published_values() -> None:
    """Every figure in their words is one of the paper's table, or the difference of two of a model."""
    told = tomllib.loads(FILE.read_text("utf-8"))["rows"]
    pairs = itertools.product(told, told, ("1%", "10%"))
    gains = {f"{abs(a[c] - b[c]):.1f}" for a, b, c in pairs if a["model"] == b["model"] and c in a and c in b}
    values = {f"{row[c]:.1f}" for row in told for c in ("1%", "10%") if c in row}
    for name in ("semi_vit", "scaling", "label_efficiency", "mixers", "pretraining", "cnn_vs_vit"):
        figures = re.findall(r"\d+\.\d", studies.asked(name)[1])
        assert figures
        assert set(figures) <= gains | values, name
