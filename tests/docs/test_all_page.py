"""docs/all.md runs from top to bottom in an empty folder, with fewer steps; what it says in numbers is compared."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sslkit import contracts, registry
from sslkit.cli import main
from sslkit.harness import load
from sslkit.harness.numbers.frame import comparisons

from .page import blocks, brief, commands, text

PAGE = "docs/all.md"
CODE = blocks(PAGE, "python")
FILES = {code.partition("\n")[0].removeprefix("# "): code for code in CODE if re.match(r"# \w+\.py\n", code)}
TOP_TO_BOTTOM = [code for code in CODE if code not in FILES.values()]


@pytest.mark.usefixtures("here")
def test_its_code_runs_from_top_to_bottom() -> None:
    assert sum(code.count("assert ") for code in TOP_TO_BOTTOM) >= 10
    names: dict[str, Any] = {}
    assert sum(code.count('.steps": 20') for code in TOP_TO_BOTTOM) == 2
    for code in TOP_TO_BOTTOM:
        exec(compile(code.replace('.steps": 20', '.steps": 2'), PAGE, "exec"), names)
    assert names["losses"].labels.weight.shape == (12,)
    assert names["second"].folder.is_dir()


@pytest.mark.parametrize("command", [c for c in commands(PAGE) if c[0] == "run"], ids=lambda command: command[2])
def test_a_part_of_the_page_runs(command: list[str], here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = command[command.index("--plugin") + 1]
    (here / file).write_text(FILES[file], "utf-8")
    assert main([*brief(command), "--no-control", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    (entries,) = registry.plugins.values()
    assert results["config"][{"labeler": "labeler.name", "algorithm": "algo.name"}[entries[0].kind]] == Path(file).stem
    option, _, value = command[command.index("--set") + 1].partition("=")
    assert results["config"][option] == float(value)


@pytest.mark.usefixtures("here")
def test_its_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = [c for c in commands(PAGE) if c[0] == "compare"]
    assert main([word if word != "8" else "1" for word in command] + brief(["run"])[1:]) == 0
    assert "1 seed: values without intervals" in " ".join(capsys.readouterr().err.split())
    frame = load(comparisons("runs")[-1])
    assert {"finetune", "finetune+"} < set(frame["row"])
    assert len(frame) == 4, "stages that arms have in common are trained once"


def test_every_file_has_a_command_and_every_command_a_test() -> None:
    assert [c[c.index("--plugin") + 1] for c in commands(PAGE) if c[0] == "run"] == list(FILES)
    assert {c[0] for c in commands(PAGE)} == {"run", "compare"}
    assert text(PAGE).count(".venv/bin/sslkit") == len(commands(PAGE))


def test_its_differences_are_those_that_were_measured() -> None:
    digits = text("docs/results/digits.md")
    measured = {
        arm: [float(value) for value in values.split()]
        for arm, values in re.findall(r"^\| ([a-z+]+) \|(?:[^|]+\|){3} ((?:\d+\.\d ?){8})\|", digits, re.M)
    }
    apart = [round(a - b, 1) for a, b in zip(measured["fixmatch"], measured["finetune+"], strict=True)]
    assert f"differ({apart}, " in text(PAGE)


def test_it_names_what_parts_exchange_and_all_slots() -> None:
    page = text(PAGE)
    for value in ("Stream", "Batch", "Output", "PseudoLabels", "Mixed", "Losses", "Setup"):
        assert hasattr(contracts, value)
        assert f"`{value}`" in page
    for slot in (contracts.Teacher, contracts.PseudoLabeler, contracts.Mixer):
        assert re.search(rf"^\| `{slot.__name__}` \|", page, re.MULTILINE)


def test_it_is_read_in_ten_minutes() -> None:
    lines = text(PAGE).splitlines()
    assert 200 <= len(lines) <= 270
    assert max(map(len, lines)) <= 120
