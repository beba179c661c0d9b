"""docs/user-cases.md names tests that there are."""

from __future__ import annotations

import re

from tests.docs.page import ROOT, text

PAGE = "docs/user-cases.md"
NAMED = re.compile(r"`((?:\w+/)+test_\w+\.py)::(test_\w+)`")


def test_every_test_that_it_names_exists() -> None:
    found = NAMED.findall(text(PAGE))
    assert len(found) > 70
    for file, name in found:
        source = (ROOT / "tests" / file).read_text("utf-8")
        assert re.search(rf"^def {name}\(", source, re.MULTILINE), f"{file}::{name}"


def test_a_situation_without_a_test_is_open_or_judged() -> None:
    rows = [
        line.strip("|").split("|") for line in text(PAGE).splitlines() if line.startswith("| ") and "---" not in line
    ]
    assert {len(row) for row in rows} == {3}
    for situation, answer, tests in rows:
        if not NAMED.search(tests) and tests.strip() not in ("test", "all tests"):
            assert "*open*" in answer or "*judged*" in answer, situation
