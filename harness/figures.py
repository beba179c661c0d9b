"""Figures of a comparison: each takes a data frame and gives a matplotlib `Figure`, readable at the width of a phone.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; a row has one in all figures of the
same rows, the reference is the text's own colour, dashed. None of them reads the store.
"""

from __future__ import annotations

import io
import re
import textwrap
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
DASHES = ("-", ":", "-.")
INK = "#010203"  # stands for the colour of the page's text, be it dark or light
WIDTH = 4.0  # inches; on a phone its letters of 9 points have 10 pixels or more
POINTS = 100  # of a curve at most
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "sans-serif",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",  # letters stay letters: small, and they can be selected
    "svg.hashsalt": "sslkit",  # the same figure is the same text
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.25,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
    "grid.color": INK,
}


@mpl.rc_context(STYLE)
def curves(history: pd.DataFrame, rows: Sequence[str], reference: str, title: str, *, share: bool = False) -> Figure:
    """A logged quantity over the steps: a line a row, the mean over its seeds, in a band from lowest to highest seed.

    Args:
        history: row, seed, step, value; of one quantity and condition.
        rows: all rows of the comparison, in its order.
        share: values are in [0, 1] and shown in percent; else the scale is logarithmic where it can be.
    """
    figure, axes = _canvas(title, [row for row in rows if row in set(history["row"])])
    width = max(1, int(history["step"].max()) // POINTS)
    thinned = history.assign(place=history["step"] // width).groupby(["row", "seed", "place"], as_index=False)
    by_seed = thinned[["step", "value"]].mean()
    for row in (row for row in rows if row in set(history["row"])):
        over = by_seed[by_seed["row"] == row].groupby("place").agg(step=("step", "mean"), **_band("value"))
        _line(axes, over["step"], over, row, rows, reference, points=len(over) < 10)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if share:
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    elif by_seed["value"].min() > 0 and by_seed["value"].max() > 5 * by_seed["value"].min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _legend(figure, axes)
    return figure


@mpl.rc_context(STYLE)
def label_efficiency(frame: pd.DataFrame, rows: Sequence[str], reference: str, title: str, score: str) -> Figure:
    """Accuracy against the number of labelled images: a line a row, mean and band over its seeds.

    Args:
        frame: row, seed, images (labelled ones), value in percent.
        score: what the value is.
    """
    figure, axes = _canvas(title, [row for row in rows if row in set(frame["row"])])
    for row in (row for row in rows if row in set(frame["row"])):
        over = frame[frame["row"] == row].groupby("images").agg(**_band("value"))
        _line(axes, over.index, over, row, rows, reference, points=True)
    axes.set_xscale("log")
    counts = sorted(frame["images"].unique())
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("labelled images")
    axes.set_ylabel(score)
    _legend(figure, axes)
    return figure


@mpl.rc_context(STYLE)
def paired_differences(frame: pd.DataFrame, rows: Sequence[str], reference: str, title: str, delta: float) -> Figure:
    """A forest plot: for each row its mean difference from the reference, with the interval and a dot a seed.

    Args:
        frame: a line a row: row, differences (a list, by seed, in points), and mean, low, high of the 95% t-interval,
            not a number where there are too few seeds.
        delta: half the width of the zone of equivalence.
    """
    figure, axes = _canvas(title, [None] * len(frame))
    axes.axvspan(-delta, delta, color=INK, alpha=0.07, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.8, linestyle="--", alpha=0.6)
    for place, line in enumerate(frame.to_dict("records")):
        colour, _ = _look(str(line["row"]), rows, reference)
        axes.plot(line["differences"], [place + 0.28] * len(line["differences"]), "o", color=colour, ms=3, alpha=0.5)
        said = _short(str(line["row"]), 28) + ": "
        if pd.notna(line["mean"]):
            axes.plot([line["low"], line["high"]], [place, place], color=colour, linewidth=2)
            axes.plot(line["mean"], place, "D", color=colour, ms=6)
            said += f"{line['mean']:+.1f} ({line['low']:+.1f} to {line['high']:+.1f})"
        axes.text(0, place - 0.22, said, transform=axes.get_yaxis_transform(), va="bottom", size=8.5)
    axes.set_ylim(len(frame) - 0.5, -0.75)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False)
    axes.set_xlabel(f"points more than {_short(reference, 40)}")
    return figure


def _canvas(title: str, entries: Sequence[Any]) -> tuple[Figure, Axes]:
    """A figure with one set of axes, higher by what the entries of its legend, or its rows, need."""
    figure = Figure(figsize=(WIDTH, 2.4 + 0.2 * len(entries)), layout="constrained")
    if entries and entries[0] is None:
        figure.set_figheight(0.9 + 0.5 * len(entries))
    axes = figure.add_subplot()
    axes.set_title("\n".join(textwrap.wrap(title, 46)))
    axes.grid(visible=True, axis="y")
    return figure, axes


def _band(column: str) -> dict[str, tuple[str, str]]:
    return {"mean": (column, "mean"), "low": (column, "min"), "high": (column, "max")}


def _line(
    axes: Axes, x: Any, over: pd.DataFrame, row: str, rows: Sequence[str], reference: str, *, points: bool
) -> None:
    colour, dash = _look(row, rows, reference)
    axes.fill_between(x, over["low"], over["high"], color=colour, alpha=0.12, linewidth=0)
    axes.plot(x, over["mean"], dash, color=colour, linewidth=1.6, marker="o" if points else None, ms=3.5, label=row)


def _look(row: str, rows: Sequence[str], reference: str) -> tuple[str, str]:
    """Colour and dash of a row."""
    if row == reference:
        return INK, "--"
    place = [name for name in rows if name != reference].index(row)
    return COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]


def _legend(figure: Figure, axes: Axes) -> None:
    """Names beneath the axes; in one column, so that long ones are not cut."""
    lines = axes.get_lines()
    names = [_short(str(line.get_label())) for line in lines]
    figure.legend(lines, names, loc="outside lower left", ncols=1, labelspacing=0.3)


def _short(name: str, length: int = 44) -> str:
    """As many letters as there is room for."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


SVG, LINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an `<svg>` to stand in a page: it has the page's colour of text, and no identifier of others.

    Args:
        name: distinguishes the figure within the page; letters and digits.
        label: what a screen reader says.
    """
    file = io.StringIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # letters are drawn by the browser, which has more
        figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", LINK[1:-5])
    root = ET.fromstring(
        re.sub(r"[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "\ufffd", file.getvalue())
    )  # no XML has these
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    # matplotlib's own rule would be one for the whole page: matplotlib/matplotlib#14283
    for rule in list(root.iter(f"{{{SVG}}}defs"))[:1]:
        rule[:] = [node for node in rule if not node.tag.endswith("style")]
    root.attrib |= {"role": "img", "aria-label": label, "style": "stroke-linejoin: round; stroke-linecap: butt"}
    _rename(root, name)
    return ET.tostring(root, encoding="unicode")


def _rename(root: ET.Element, name: str) -> None:
    """Identifiers begin with the figure's name, those that nothing refers to go; `INK` is the page's colour."""
    used = {part.partition("#")[2].rstrip(")") for node in root.iter() for part in node.attrib.values() if "#" in part}
    for node in root.iter():
        for key, value in node.attrib.items():
            changed = value.replace(INK, "currentColor")
            if key == "id":
                changed = f"{name}-{value}"
            elif key == LINK or value.startswith("url(#"):
                changed = value.replace("#", f"#{name}-", 1)
            node.set(key, changed)
        if node.get("id", "").removeprefix(f"{name}-") not in used:
            node.attrib.pop("id", None)
