"""What did not help: dated, newest first, each entry with its figures or with a word that none was kept."""

import re

import pytest

from .page import text

PAGE = "docs/results/negatives.md"
PARTS = ["Why", "Figures", "Follows"]


def entries() -> list[tuple[str, str]]:
    """(heading, text)."""
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in text(PAGE).split("\n## ")[1:]]


def test_the_newest_is_first() -> None:
    dates = [heading[:10] for heading, _ in entries()]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", date) for date in dates)
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize(("heading", "entry"), entries(), ids=[heading for heading, _ in entries()])
def test_an_entry_has_its_figures(heading: str, entry: str) -> None:
    assert re.fullmatch(r"20\d\d-\d\d-\d\d: .+", heading)
    parts = re.findall(r"^\* \*\*(\w+):\*\* (.+?)(?=^\* |\Z)", entry, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in parts] == PARTS
    figures = dict(parts)["Figures"]
    assert re.search(r"\d", figures) or "no figure kept" in " ".join(figures.split())


def test_its_lines_are_short() -> None:
    assert [line for line in text(PAGE).splitlines() if len(line) > 120] == []
