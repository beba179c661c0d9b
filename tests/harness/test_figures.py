"""Figures show what the frames hold, whatever rows are called, and stand in one page without disturbing another."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sslkit.harness.figures import COLOURS, INK, POINTS, _look, curves, label_efficiency, paired_differences, svg
from sslkit.harness.history import history, logged

HOSTILE = ["<script>alert(1)</script>", "$\\frac{$", "_hidden", 'a & "b"', "x" * 200, "名前"]
ROWS = ["finetune+", *HOSTILE]


def log(rows: list[str] = ROWS, steps: int = 5, seeds: int = 3, least: float = 0.1) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    places = [(row, seed, 10 * (i + 1)) for row in rows for seed in range(seeds) for i in range(steps)]
    frame = pd.DataFrame(places, columns=["row", "seed", "step"])
    return frame.assign(value=least + draw.random(len(frame)))


def lines(figure: Figure) -> dict[str, Any]:
    """Label in the legend -> line."""
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    return dict(zip(names, figure.axes[0].get_lines(), strict=True))


def test_a_curve_is_the_mean_over_seeds_in_a_band_from_lowest_to_highest() -> None:
    frame = log(["a", "b"])
    figure = curves(frame, ["b", "a"], "b", "loss")
    drawn = lines(figure)
    assert list(drawn) == ["b", "a"], "in the comparison's order"
    for (row, line), band in zip(drawn.items(), figure.axes[0].collections, strict=True):
        mine = frame[frame["row"] == row]
        expected = [mine.loc[mine["step"] == step, "value"] for step in (10, 20, 30, 40, 50)]
        assert line.get_xdata() == pytest.approx([10, 20, 30, 40, 50])
        assert line.get_ydata() == pytest.approx([sum(values) / 3 for values in expected])
        corners = {(round(x), round(y, 9)) for x, y in np.asarray(band.get_paths()[0].vertices)}
        for step, values in zip((10, 20, 30, 40, 50), expected, strict=True):
            assert {(step, round(min(values), 9)), (step, round(max(values), 9))} <= corners


def test_a_long_curve_is_thinned_by_means() -> None:
    frame = log(["a"], steps=3000, seeds=1)
    (line,) = lines(curves(frame, ["a"], "", "loss")).values()
    assert POINTS / 2 < len(line.get_xdata()) <= POINTS + 1
    assert np.mean(line.get_ydata()) == pytest.approx(frame["value"].mean(), rel=0.01)
    assert np.std(line.get_ydata()) < frame["value"].std() / 3


def test_seeds_of_different_length_and_gaps_are_drawn() -> None:
    frame = log(["a", "b"]).drop(index=[1, 2, 17])
    figure = curves(frame, ["a", "b"], "a", "loss")
    assert all(np.isfinite(line.get_ydata()).all() for line in lines(figure).values())


@pytest.mark.parametrize(
    ("least", "share", "scale", "top"),
    [(0.01, False, "log", None), (-5, False, "linear", None), (0, True, "linear", 1)],
)
def test_the_scale_fits_the_values(least: float, share: bool, scale: str, top: float | None) -> None:
    (axes,) = curves(log(least=least), ROWS, "finetune+", "t", share=share).axes
    assert axes.get_yscale() == scale
    assert top is None or axes.get_ylim() == (0, top)


def test_label_efficiency_has_the_numbers_of_labels() -> None:
    places = [(row, seed, n) for row in ("a", "b") for seed in range(2) for n in (40, 100, 1347)]
    frame = pd.DataFrame(places, columns=["row", "seed", "images"])
    frame["value"] = 20 * np.log10(frame["images"]) + frame["seed"] + (frame["row"] == "b")
    figure = label_efficiency(frame, ["a", "b"], "a", "t", "top-1 %")
    for row, line in lines(figure).items():
        assert line.get_xdata() == pytest.approx([40, 100, 1347])
        assert line.get_ydata() == pytest.approx([20 * np.log10(n) + 0.5 + (row == "b") for n in (40, 100, 1347)])
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["40", "100", "1,347"]


def test_differences_are_dots_with_mean_and_interval() -> None:
    nan = float("nan")
    told = [("a", [1.0, 2.0, 4.0], 2.5, -1.5, 6.5), ("b", [3.0], nan, nan, nan)]
    frame = pd.DataFrame(told, columns=["row", "differences", "mean", "low", "high"])
    (axes,) = paired_differences(frame, ["r", "a", "b"], "r", "t", 1.0).axes
    drawn = [list(map(float, np.atleast_1d(line.get_xdata()))) for line in axes.get_lines()]
    assert drawn == [[0.0, 0.0], [1.0, 2.0, 4.0], [-1.5, 6.5], [2.5], [3.0]]
    assert [text.get_text() for text in axes.texts] == ["a: +2.5 (-1.5 to +6.5)", "b: "]


def test_rows_look_different_and_the_reference_is_the_colour_of_text() -> None:
    rows = [str(i) for i in range(3 * len(COLOURS) + 1)]
    looks = {_look(row, rows, "4") for row in rows}
    assert len(looks) == len(rows)
    assert _look("4", rows, "4") == (INK, "--")


def made() -> list[tuple[str, Figure]]:
    labels = log().rename(columns={"step": "images"})
    differences = pd.DataFrame({"row": HOSTILE, "differences": [[1.0]] * 6, "mean": 1.0, "low": 0.0, "high": 2.0})
    return [
        ("c", curves(log(), ROWS, "finetune+", "the same $title$ " * 9)),
        ("d", curves(log(), ROWS, "finetune+", "title")),
        ("e", label_efficiency(labels, ROWS, "finetune+", "title", "top-1 %")),
        ("f", paired_differences(differences, ROWS, "finetune+", "title", 1.0)),
    ]


@pytest.mark.filterwarnings("error")
def test_hostile_names_are_text() -> None:
    for name, figure in made():
        root = ET.fromstring(svg(figure, name, "<b>"))
        said = " ".join("".join(node.itertext()) for node in root.iter() if node.tag.endswith("}text"))
        for row in (*HOSTILE[:4], HOSTILE[5]):
            assert (row if name != "f" else row[:20]) in said, (name, row)
        assert "x" * 200 not in said, "too long for the figure"
        assert not [node for node in root.iter() if "script" in node.tag]


def test_letters_that_xml_does_not_know_are_replaced() -> None:
    figure = curves(log(["a\x1b[31mred\0"]), ["a\x1b[31mred\0"], "", "title")
    assert "a\ufffd[31mred\ufffd" in "".join(ET.fromstring(svg(figure, "n", "label")).itertext())


@pytest.mark.filterwarnings("error")
def test_figures_share_a_page() -> None:
    known: set[str] = set()
    for (name, figure), (_, again) in zip(made(), made(), strict=True):
        text = svg(figure, name, "label")
        assert text == svg(again, name, "label"), "always the same"
        root = ET.fromstring(text)
        own = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert len(own) == len(set(own))
        assert not known & set(own), "identifiers belong to one figure"
        known |= set(own)
        referred = set(re.findall(r'(?:url\(|href=")#([^)"]+)', text))
        assert referred == set(own)
        assert not re.search(r"<style|(?:href|src)=\"(?!#)", text), "nothing for all of the page, nothing outside"
        assert INK not in text
        assert "currentColor" in text
        assert root.attrib.keys() >= {"viewBox", "role", "aria-label"}
        assert not root.attrib.keys() & {"width", "height"}


def test_logs_become_a_long_frame(tmp_path: Path) -> None:
    written = [{"step": 10, "lr": 1.0, "seconds": 2, "loss": 3.0, "coverage": 0.5, "precision": None, "recall": 0.1}]
    written.append({"step": 20, "loss": 2.0, "coverage": 0.6, "precision": 0.9, "grad_norm": 1.0, "val_top1": 0.7})
    text = "\n".join(map(json.dumps, written)) + '\n[1]\n{"loss": 1}\n{"step": 30, "loss": "x"}\n{"step": 40, "los'
    (tmp_path / "stages" / "k").mkdir(parents=True)
    (tmp_path / "stages" / "k" / "metrics.jsonl").write_text(text)
    places = [("c", "a", 0, "k", ""), ("c", "b", 0, "gone", ""), ("c", "b", 1, None, "failed")]
    frame = pd.DataFrame(places, columns=["condition", "row", "seed", "key", "error"])
    found = history(frame, tmp_path)
    told = {(step, name): value for step, name, value in found[["step", "quantity", "value"]].itertuples(index=False)}
    assert told == {
        (10, "loss"): 3.0, (20, "loss"): 2.0, (10, "coverage"): 0.5, (20, "coverage"): 0.6, (20, "precision"): 0.9,
        (20, "val_top1"): 0.7,
    }  # fmt: skip
    assert set(found["row"]) == {"a"}


def test_a_log_that_was_cut_by_interruptions_is_the_same_as_one_that_was_not(tmp_path: Path) -> None:
    values = [float(i * i % 7) for i in range(25)]

    def lines(ends: list[int]) -> list[dict[str, Any]]:
        means = ((end, values[begin:end]) for begin, end in zip([0, *ends], ends, strict=False))
        (tmp_path / "log").write_text(
            "".join(json.dumps({"step": end, "lr": 1 / end, "loss": sum(v) / len(v)}) + "\n" for end, v in means)
        )
        return list(logged(tmp_path / "log"))

    whole = lines([10, 20, 25])
    assert [line["step"] for line in whole] == [10, 20, 25]
    for cut in ([3, 10, 20, 25], [10, 13, 17, 20, 25], [1, 9, 10, 12, 20, 21, 25]):
        found = lines(cut)
        assert [(line["step"], line["lr"]) for line in found] == [(line["step"], line["lr"]) for line in whole]
        assert [line["loss"] for line in found] == pytest.approx([line["loss"] for line in whole])
