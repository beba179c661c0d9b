"""What is damaged or foreign in a store is one line, and stops no more than what needs it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sslkit.store import checkpoint, read_json
from tests.cli.call import Call, assert_refused, sslkit
from tests.harness.small_store import made, named, root, tree
from tests.harness.work.test_compare import SMALL, elsewhere

__all__ = ["elsewhere", "made", "root"]  # fixtures
pytestmark = pytest.mark.slow  # the store is made, and copied for every test

Change = Callable[[dict[str, Any]], Any]


def table(root: Path, form: str = "csv") -> Call:
    return sslkit("table", "--runs", root, "--format", form)


def compare(root: Path) -> Call:
    return sslkit("compare", *SMALL, "--algo", "fixmatch,flexmatch", "--seeds", 2, "--runs", root)


def changed(path: Path, change: Change) -> dict[str, Any]:
    """What the file said before."""
    told = read_json(path)
    path.write_text(json.dumps(change(json.loads(json.dumps(told)))))
    return told


def put(*keys: Any, value: Any) -> Change:
    """A change of one value; None takes it away."""

    def change(told: dict[str, Any]) -> dict[str, Any]:
        place: Any = told
        for key in keys[:-1]:
            place = place[key]
        place.pop(keys[-1]) if value is None else place.__setitem__(keys[-1], value)
        return told

    change.__name__ = f"{'.'.join(map(str, keys))}={value!r}"  # names the test, alike in every process
    return change


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (put("runs", value=[]), "runs"),
        (put("runs", value=[1]), "runs"),
        (put("runs", 0, "new", value=1), "runs"),
        (put("runs", 0, "condition", value=None), "runs"),
        (put("runs", 0, "condition", value="another"), "runs"),
        (put("runs", 0, "arm", value=["x"]), "runs"),
        (put("runs", 0, "seed", value="x"), "runs"),
        (put("runs", 0, "stages", value=["x"]), "runs"),
        (put("runs", 0, "stages", value={"semi": 3}), "runs"),
        (put("comparison", value={}), "comparison"),
        (put("comparison", "reference", value=None), "comparison"),
        (put("comparison", "machine", value=None), "comparison"),
        (put("comparison", "conditions", value=3), "comparison"),
        (put("labeled", value={}), "labeled"),
        (put("costs", "4/class", value={"fixmatch": {}}), "costs"),
    ],
)
def test_a_foreign_comparison_is_one_line(tmp_path: Path, made: Path, change: Change, lost: str) -> None:
    mark = named(made, "compare")
    copy = tmp_path / mark / "comparison.json"
    copy.parent.mkdir()
    copy.write_text((made / mark / "comparison.json").read_text())
    changed(copy, change)
    for form in ("csv", "json"):
        words = f"comparison.json is damaged: {lost}; the same `sslkit compare` makes it anew"
        assert_refused(table(tmp_path, form), words)
    assert sslkit("runs", "ls", "--json", "--runs", tmp_path).code == 0
    assert sslkit("runs", "rm", mark, "--yes", "--runs", tmp_path).code == 0


def test_a_foreign_comparison_is_made_anew(root: Path) -> None:
    before = table(root).out
    mark = root / named(root, "compare") / "comparison.json"
    told = changed(mark, put("runs", 0, "new", value=1))
    (mark.parent / ".comparison.json.1.tmp").write_text("{")  # of one that was killed
    again = compare(root)
    assert again.code == 0, again.err
    assert [run["run"] for run in read_json(mark)["runs"]] == [run["run"] for run in told["runs"]]
    assert table(root).out == before
    assert [file.name for file in mark.parent.iterdir()] == ["comparison.json"]


@pytest.mark.parametrize("text", ["", "{}"])
def test_where_references_are_unknown_all_weights_stay(root: Path, text: str) -> None:
    (root / "foreign").mkdir()
    (root / "foreign" / "run.json").write_text(text)
    before = {path for path in tree(root) if path.endswith("weights.safetensors")}
    made = sslkit("compare", *SMALL, "--algo", "fixmatch", "--seeds", 3, "--runs", root)
    assert made.code == 0, made.err
    assert "all weights stay: what foreign refers to cannot be read" in made.err
    assert " fixmatch " in made.out
    assert before < {path for path in tree(root) if path.endswith("weights.safetensors")}


@pytest.mark.parametrize(
    "change",
    [
        put("networks", "averaged", "top1", value="x"),
        put("seconds", value="x"),
        put("memory", value="x"),
        put("pseudo_labels", value=3),
        put("networks", value=3),
    ],
)
def test_a_foreign_result_is_a_cell(root: Path, change: Change) -> None:
    run = read_json(root / named(root, "compare") / "comparison.json")["runs"][0]
    changed(root / "stages" / run["stages"]["semi"] / "result.json", change)
    for form in ("rich", "json", "html"):
        assert table(root, form).code == 0, form
    assert "result.json is damaged" in table(root).out


def test_predictions_of_other_images_take_one_interval_with_them(tmp_path: Path) -> None:
    sslkit("compare", *SMALL, "--algo", "fixmatch", "--seeds", 3, "--runs", tmp_path)
    run = read_json(tmp_path / named(tmp_path, "compare") / "comparison.json")["runs"][0]
    path = tmp_path / "stages" / run["stages"]["semi"] / "predictions.safetensors"
    tensors, about = checkpoint.load(path)
    checkpoint.save(path, {name: tensor[:5] for name, tensor in tensors.items()}, about)
    shown = {line["row"]: line for line in table(tmp_path, "json").json["summary"]}
    assert shown["fixmatch"]["CI, seeds and images"] == "other images by seed"
    assert " to " in shown["finetune"]["CI, seeds and images"]
