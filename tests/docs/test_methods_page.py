"""docs/methods.md is what the algorithms say of themselves, and every one has an oracle."""

import re

from benchmarks.methods_page import page

from .page import text


def test_the_page_is_as_it_is_made() -> None:
    assert text("docs/methods.md").rstrip("\n") == page().rstrip("\n")


def test_every_method_has_a_paper_and_an_oracle() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\([^)]+\) \| ([^|]+) \| ([^|]*) \| [^|]* \| ([^|]*) \|$", page(), re.MULTILINE)
    assert len(rows) >= 50
    assert [name for name, _, paper, _ in rows if not paper.strip() and name != "supervised"] == []
    assert [name for name, _, _, oracle in rows if "test_" not in oracle] == []
