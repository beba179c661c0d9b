"""A row that does nothing, paths with a comma, and comparisons by the path that was printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.harness.commands import split
from sslkit.harness.pages.tables import IDENTICAL
from tests.cli.call import sslkit
from tests.harness.work.test_compare import compare, elsewhere, folder  # noqa: F401


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_that_does_nothing_is_called_identical_and_not_equivalent(seeds: int) -> None:
    """No pseudo-label passes tau 1 in so few steps, so this arm is finetune+ to the bit."""
    rates = ("--set", "semi.lr=1e-3", "--set", "control.lr=1e-3")
    nothing = ("--vary", "labeler.tau=1.0,0.0", *rates, "--set", "algo.joint=false")
    made = compare("--algo", "fixmatch", *nothing, "--seeds", seeds)
    assert made.code == 0, made.err
    shown = sslkit("table", "--format", "json").json
    verdicts = {line["row"].split()[-1]: line["verdict"] for line in shown["summary"]}
    assert verdicts["labeler.tau=1.0"] == IDENTICAL
    assert verdicts["labeler.tau=0.0"] != IDENTICAL
    assert "labeler.tau=1.0 and finetune+ are identical" in " ".join(shown["verdicts"])
    by_path = sslkit("table", folder(), "--format", "json")
    assert by_path.json == shown
    assert sslkit("table", f"{folder().absolute()}/", "--format", "json").json == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folder:a,b", ["folder:a,b"]),
        ("folder:a,b,digits", ["folder:a,b", "digits"]),
        ("digits,csv:x, y/t.csv", ["digits", "csv:x, y/t.csv"]),
        ("digits,cifar10", ["digits", "cifar10"]),
        ("digits,cifar1o", ["digits", "cifar1o"]),
        ("folder:a,parquet:b,c", ["folder:a", "parquet:b,c"]),
    ],
)
def test_a_comma_in_a_path(text: str, words: list[str]) -> None:
    assert split(text, paths=True) == words


def test_a_comparison_of_a_folder_with_a_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    made = compare("--data", "folder:no, where", "--algo", "fixmatch", "--seeds", 1)
    assert made.code == 2
    assert "no, where" in made.err
    assert not Path("runs").exists()
