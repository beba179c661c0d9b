"""A comparison on data with unknown classes: the columns that it has more, and what its differences are."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sslkit.harness import load
from sslkit.harness.numbers import answers
from sslkit.harness.numbers.frame import COLUMNS, OPEN, Results
from sslkit.harness.pages import formats, tables
from tests.cli.call import sslkit
from tests.harness.work.test_compare import compare, elsewhere, folder  # noqa: F401


def made_up(seeds: int) -> Results:
    draw = np.random.default_rng(2)
    lines: list[dict[str, Any]] = []
    for condition, row in itertools.product(("open", "closed"), ("finetune+", "a")):
        for seed in range(seeds):
            line = {"condition": condition, "row": row, "seed": seed, "top1": 80.0, "key": f"{condition}{row}{seed}"}
            line |= dict.fromkeys(("error", "flags", "versions"), "")
            lines.append(line | ({name: 50 * draw.random() for name in OPEN} if condition == "open" else {}))
    told = {"comparison": {"reference": "finetune+", "conditions": {}}, "study": "", "labeled": {}, "costs": {}}
    return Results(Path("gone"), told, pd.DataFrame(lines, columns=[*COLUMNS, *OPEN]))


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_differences_are_paired_t_intervals(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "right", lambda _, keys: np.eye(len(keys), 40) > 0)
    monkeypatch.setattr(answers, "_identical", lambda *_: False)
    known = made_up(seeds)
    frame = known.frame.set_index(["condition", "row", "seed"]).sort_index()
    shown = tables.summary(known, answers.answers(known)).set_index(["condition", "row"])
    for name, column in (("C+1 %", "open_top1"), ("AUROC %", "auroc")):
        mine, theirs = (frame.loc[("open", row)][column].to_numpy() for row in ("a", "finetune+"))
        assert shown.loc[("open", "a"), name] == f"{mine.mean():.1f} ± {mine.std(ddof=1):.1f}"
        d = mine - theirs
        half = stats.t.ppf(0.975, seeds - 1) * d.std(ddof=1) / np.sqrt(seeds)
        said = shown.loc[("open", "a"), f"{name} difference"]
        numbers = [float(word) for word in re.findall(r"[+-]?\d+\.\d+", said)]
        expected = [d.mean(), d.mean() - half, d.mean() + half] if seeds > 2 else []
        assert numbers == pytest.approx(expected, abs=0.051)
        assert shown.loc[("open", "finetune+"), f"{name} difference"] == ""
        assert shown.loc[("closed", "a"), name] == shown.loc[("closed", "a"), f"{name} difference"] == ""
    assert shown.loc[("open", "a"), "unknown %"] == f"{100 * frame.loc[('open', 'a')]['unknown'].mean():.0f}"


def test_a_comparison_has_the_columns_only_where_classes_are_unknown() -> None:
    made = compare("--algo", "fixmatch,openmatch", "--set", "data.open_set=4", "--set", "labeler.tau=0", "--seeds", 1)
    assert made.code == 0, made.err
    for words in ("C+1 %", "AUROC %", "unknown %"):
        assert words in made.out
    frame = load(folder())
    assert set(OPEN) <= set(frame.columns)
    assert frame["auroc"].between(0, 100).all()
    assert frame.loc[frame["row"].str.contains("match"), "unknown"].between(0, 1).all()
    for form in ("markdown", "csv", "json", "html", "latex"):
        assert "auroc" in formats.text(folder(), form).lower() or form == "html"
    closed = compare("--algo", "fixmatch", "--seeds", 1)
    assert "AUROC" not in closed.out
    assert not set(OPEN) & set(load(max(Path("runs").glob("compare-*"), key=lambda f: f.stat().st_mtime)).columns)
    assert sslkit("table", "--json").code == 0
