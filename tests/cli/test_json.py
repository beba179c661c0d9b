"""Every command answers by its published schema: one JSON object on standard output, whatever else is said."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sslkit.cli import cli
from sslkit.cli.answers import answers_of
from sslkit.cli.schema import commands, published
from tests.cli.call import TINY, Call, sslkit
from tests.datasets.make import pictures
from tests.kept.make import FINISHED

KEPT = Path(__file__).parents[1] / "kept" / "rooms.tar.xz"
WITHOUT = {"schema": "prints a JSON Schema, which is JSON", "skill": "prints Markdown for assistants"}
SMALL = ["--set=device=cpu", "--set=precision=fp32", "--backbone", "vit_micro", *TINY[9:]]
COMPARE = ["compare", "--algo", "fixmatch", *SMALL, "--seeds"]
ADVISE = ["--labels", "2/class", "--backbone", "vit_micro", "--threads", 1, "--set=device=cpu", "--time", "30s"]
PLUGIN = ["--plugin", "tiny.py"]
# command -> calls of it, in a folder with a kept store; RUN, its NAME, OTHER and TABLE are what it holds
CALLS: dict[str, list[list[Any]]] = {
    "run": [["run", *TINY, "--runs", "new"], [*FINISHED, "--show-config"]],
    "show": [["show", "RUN"], ["show", "RUN", "--classes"]],
    "show-views": [["show-views", "--n", 2, "--out", "views.png"]],
    "list": [["list", "mixers"], ["list", "--check"], ["list", "recipes"], ["list", "studies"]],
    "advise": [["advise", "digits", *ADVISE, "--set=finetune.steps=2", "--set=semi.steps=2"]],
    "compare": [
        [*COMPARE, 3, "--runs", "compared", "--dry-run"],
        [*COMPARE, 3, "--runs", "compared", "--status"],
        [*COMPARE, 3, "--runs", "compared", "--cluster", "print,mem=1G"],
        [*COMPARE, 3, "--runs", "compared"],
        [*COMPARE, 2, "--runs", "compared"],
        [*COMPARE, 3, "--runs", "compared", "--status"],
    ],
    "table": [["table"], ["table", "TABLE", "--style", "paper"]],
    "runs ls": [["runs", "ls"], ["runs"]],
    "runs diff": [["runs", "diff", "RUN", "OTHER"], ["runs", "diff", "runs", "other"]],
    "runs merge": [["runs", "merge", "other", "--dry-run"], ["runs", "merge", "runs", "--runs", "other"]],
    "runs rm": [["runs", "rm", "NAME", "--yes", "--runs", "other"]],
    "data": [["data", "photos", "--val", "0.2"], ["data", "torn"]],
    "check": [["check", "--kind", "mixer"]],
    "new": [["new", "mixer", "my_mixer"]],
    "predict": [
        ["predict", "RUN", "photos/test", *PLUGIN],
        ["predict", "RUN", "torn", *PLUGIN, "--out", "b.csv", "--unknown-below", 0.9],
    ],
    "export": [
        ["export", "RUN", *PLUGIN, "--format", "torch", "--out", "x.pt2"],
        ["export", "RUN", *PLUGIN, "--format", "run", "--out", "packed"],
    ],
    "audit": [["audit", "RUN", *PLUGIN, "--out", "audit"]],
    "map": [["map", "RUN", *PLUGIN, "--out", "map.html"]],
    "convert": [["convert", "labels.csv", "out.csv"]],
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept")
    with tarfile.open(KEPT) as archive:
        archive.extractall(folder, filter="data")
    shutil.copytree(folder / "runs", folder / "other")
    pictures(folder, [f"torn/{name}/{i}.png" for name in ("one", "two") for i in range(3)])
    (folder / "torn" / "two" / "2.png").write_bytes(b"no image")
    (folder / "labels.csv").write_text("path,label\na.png,cat\nb.png,\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    return published(cli)


def called(kept: Path, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> Call:
    monkeypatch.chdir(kept)
    run = next(f.parent for f in Path("runs").glob("*/config.toml") if "val = 0.25" in f.read_text("utf-8"))
    known = {"RUN": run, "NAME": run.name, "OTHER": next(Path("runs").glob("folder-fixmatch-*"))}
    known |= {"TABLE": next(Path("runs").glob("*/comparison.json")).parent.name}
    return sslkit(*(known.get(word, word) for word in arguments), "--json")


def problems(schema: Any, document: Any) -> list[str]:
    """What does not hold, with the place."""
    found = Draft202012Validator(schema).iter_errors(document)
    return [f"{list(one.absolute_path)}: {one.message[:200]}" for e in found for one in (e.context or [e])]


@pytest.mark.parametrize("command", CALLS)
def test_answers_are_by_the_schema(
    command: str, kept: Path, schemas: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for arguments in CALLS[command]:
        call = called(kept, monkeypatch, *arguments)
        assert call.code == 0, (arguments, call.err, call.out)
        document = json.loads(call.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
        assert problems(schemas[command], document) == []
        assert "error" not in document
        assert document["schema"] == 1


def test_every_command_has_a_schema_and_a_call() -> None:
    told = {name for name, command in commands(cli) if answers_of(command) is not None}
    assert {name for name, _ in commands(cli)} - told == {*WITHOUT}, "give it @as_json(ITS_ANSWER), or a reason"
    assert {*CALLS} == told


def test_all_schemas_are_schemas_without_free_keys(schemas: dict[str, Any]) -> None:
    for name, schema in schemas.items():
        Draft202012Validator.check_schema(schema)
        assert schema["$id"] == f"urn:sslkit:1:{name.replace(' ', '-')}"
        assert all(one["additionalProperties"] is False for one in schema["anyOf"])
        assert {key for one in _objects(schema) for key in one} <= {"type", "additionalProperties", *KEYS}


KEYS = {"properties", "required", "title", "description", "anyOf", "enum", "items", "const", "$schema", "$id"}


def _objects(schema: Any) -> Iterator[dict[str, Any]]:
    yield schema
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema[key] for key in ("items", "additionalProperties") if schema.get(key)]
    for one in inner:
        yield from _objects(one)


def test_a_key_that_is_not_declared_is_seen(
    schemas: dict[str, Any], kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = called(kept, monkeypatch, "show", "RUN").json
    assert problems(schemas["show"], document) == []
    for place, key in (("", "new"), ("headline", "new"), ("stages", "new key")):
        wrong = json.loads(json.dumps(document))
        inner = wrong[place] if place else wrong
        (inner[0] if isinstance(inner, list) else inner)[key] = 1
        assert problems(schemas["show"], wrong), key
    del document["headline"]
    assert problems(schemas["show"], document)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--algo", "fixmach"], ["fixmach", "did you mean 'fixmatch'"]),
        (["run", "--nope"], ["--nope"]),
        (["show"], ["Missing argument"]),
        (["nope"], ["No such command"]),
        (["show", "nowhere"], ["nowhere"]),
        (["runs", "rm", "x"], ["--json asks nothing", "--yes"]),
        (["list", "nothings"], ["nothings"]),
        (["data", "folder/nowhere"], ["no folder"]),
    ],
)
def test_an_error_is_an_object_too(arguments: list[str], words: list[str], schemas: dict[str, Any]) -> None:
    call = sslkit(*arguments, "--json")
    assert call.code == 2
    assert problems(schemas["run"], call.json) == []
    assert call.json["code"] == 2
    assert all(word in call.json["error"] for word in words), call.json
    assert call.err.strip() == f"error: {call.json['error']}"


def test_what_fails_in_an_answer_is_said_once(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("wrong.py").write_text(
        "from sslkit.contracts import Mixer\nfrom sslkit.registry import register\n\n\n"
        "@register('mixer', 'wrong')\nclass Wrong(Mixer):\n    def mix(self, *_):\n        return None\n",
        "utf-8",
    )
    call = sslkit("check", "--plugin", "wrong.py", "wrong", "--json")
    assert call.code == 2
    assert "checks" in call.json, "the answer, and no error after it"
    assert any(one["state"] == "failed" for one in call.json["checks"])


def test_a_mistake_of_ones_own_is_an_object_and_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sslkit.cli.listing.list_recipes", lambda _: 1 / 0)
    from sslkit.cli import main

    with pytest.raises(ZeroDivisionError):
        main(["list", "recipes", "--json"])
    assert json.loads(out.getvalue())["code"] == 1


def test_what_a_person_is_told_is_in_the_notes() -> None:
    made = sslkit("run", *TINY, "--val", "0.2", "--set", "semi.decay=0.9999", "--json")
    assert made.code == 0, made.err
    assert any("vit_micro" in note or "digits: 8 x 8" in note for note in made.json["notes"])
    assert any("stays near its start" in note for note in made.json["notes"])
    again = sslkit("run", *TINY, "--val", "0.2", "--set", "semi.decay=0.9999", "--json")
    assert any(note.endswith("is finished; --again repeats it") for note in again.json["notes"])
    assert any("which predict and export use" in note for note in again.json["notes"]), "what stands beneath the table"
    assert sslkit("list", "recipes", "--json").json["notes"] == [], "of this command alone"
    assert any("calls different images alike" in note for note in sslkit("data", "digits", "--json").json["notes"])


def test_too_few_seeds_claim_nothing(tmp_path: Path) -> None:
    two = sslkit(*COMPARE, 2, "--runs", tmp_path, "--json").json
    (row,) = (row for row in two["paired"] if row["row"] == "fixmatch")
    assert (row["n"], row["mean"], row["low"], row["verdict"]) == (2, None, None, "too few")
    assert any("values without intervals" in note for note in two["notes"])
    three = sslkit(*COMPARE, 3, "--runs", tmp_path, "--json", "--out", tmp_path / "page.html").json
    (row,) = (row for row in three["paired"] if row["row"] == "fixmatch")
    assert row["mean"] == pytest.approx(sum(row["values"]) / 3)
    assert row["low"] <= row["mean"] <= row["high"]
    assert (tmp_path / "page.html").read_text("utf-8").lstrip().startswith("<!"), "the file by its end"
