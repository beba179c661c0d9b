"""A row that does nothing, paths with a comma, and comparisons by the path that was printed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sslkit.harness.commands.lists import split, values
from sslkit.harness.pages.tables import IDENTICAL
from tests.cli.call import assert_refused, sslkit
from tests.harness.work.test_compare import compare, elsewhere, folder  # noqa: F401


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_row_that_does_nothing_is_called_identical_and_not_equivalent(seeds: int) -> None:
    """No pseudo-label passes tau 1 in so few steps, so this arm is finetune+ to the bit."""
    rates = ("--set", "semi.lr=1e-3", "--set", "control.lr=1e-3")
    nothing = ("--vary", "labeler.tau=1.0,1e-9,0.0", *rates, "--set", "algo.joint=false")
    made = compare("--algo", "fixmatch", *nothing, "--seeds", seeds)
    assert made.code == 0, made.err
    shown = sslkit("table", "--format", "json").json
    verdicts = {line["row"].split()[-1]: line["verdict"] for line in shown["summary"]}
    assert verdicts["labeler.tau=1.0"] == IDENTICAL
    assert verdicts["labeler.tau=0.0"] != IDENTICAL
    assert "labeler.tau=1.0 and finetune+ are identical" in " ".join(shown["verdicts"])
    (said,) = [words for words in shown["verdicts"] if "have the same" in words]
    assert "labeler.tau=1e-09, fixmatch x labeler.tau=0.0 have the same predictions in every common seed" in said
    by_path = sslkit("table", folder(), "--format", "json")
    assert by_path.json == shown
    there, half = folder(), folder().name[:-2]
    for way in (
        f"{there.absolute()}/",
        f"{there.name}/",
        f"runs/{half}",
        half,
        f"./{there}",
        there / "comparison.json",
    ):
        assert sslkit("table", way, "--format", "json").json == shown, way
    assert_refused(sslkit("table", "runs/nothing"), "no comparison 'nothing' in runs", there.name)


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


THERE = ["a,b", "e=f, g", "h,digits", "i,digits,csv:j", "k,0.5"]


@pytest.mark.parametrize("seed", range(6))
def test_what_is_on_the_disk_is_one_word_whatever_its_name(seed: int) -> None:
    draw = random.Random(seed)
    for name in THERE:
        Path(name).mkdir()
    data = draw.sample(["digits", "cifar10", *(f"folder:{name}" for name in THERE)], 4)
    words = draw.sample([*data, *THERE], 5)
    assert split(",".join(words)) == words
    assert split(", ".join(data), paths=True) == data
    assert values(f"data.name={','.join(data)}") == ("data.name", data)
    assert values("weights=none,k,0.5") == ("weights", ["none", "k,0.5"])


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "3", "{}", '{"schema": 99}'])
def test_a_damaged_comparison_is_a_line_that_says_what_makes_it_anew(content: str) -> None:
    Path("runs/compare-1").mkdir(parents=True)
    Path("runs/compare-1/comparison.json").write_text(content)
    for words in ((), ("compare-1",), ("runs/compare-1/",)):
        refused = sslkit("table", *words)
        assert_refused(refused, "runs/compare-1/comparison.json", "the same `sslkit compare` makes it anew")
    assert "compare-1 is damaged" in sslkit("runs").out


def test_a_comparison_of_a_folder_with_a_comma(monkeypatch: pytest.MonkeyPatch) -> None:
    made = compare("--data", "folder:no, where", "--algo", "fixmatch", "--seeds", 1)
    assert made.code == 2
    assert "no, where" in made.err
    assert not Path("runs").exists()
