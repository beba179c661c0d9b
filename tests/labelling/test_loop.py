"""Three rounds of labelling by a tool: nothing is lost, predictions are no labels, and the test part stays the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sslkit.terminal import screen
from tests.labelling.loop import Annotator, Round, named, rounds
from tests.labelling.test_read import FIXTURES

SERVER = FIXTURES / "label_studio/local/export.json"
UNSEEN = 4  # every so many images the annotator leaves as it is


@pytest.fixture(autouse=True)
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})


def label_studio(out: Path, truth: dict[str, str]) -> Path:
    """What a server exports once tasks were imported, and most of them annotated."""
    like = json.loads(SERVER.read_text("utf-8"))
    done = next(task for task in like if len(task["annotations"]) == 1 and not task["predictions"])
    tasks = json.loads((out / "label-studio.json").read_text("utf-8"))
    exported = []
    for number, task in enumerate(tasks):
        assert {*task} == {"data", "predictions"}
        (item,) = task["predictions"][0]["result"]
        result = [item | {"value": {"choices": [truth[named(task["data"]["image"], truth)]]}}]
        annotations = [done["annotations"][0] | {"result": result}] if number % UNSEEN else []
        more = {"id": number, "data": task["data"], "annotations": annotations, "predictions": [number]}
        exported.append(done | more)
    return saved(out, ".json", json.dumps(exported))


def cvat(out: Path, truth: dict[str, str]) -> Path:
    """What CVAT exports: an imported tag comes from a file until somebody chooses another, which has no confidence."""
    root = ElementTree.parse(out / "cvat.xml").getroot()
    for number, image in enumerate(root.iter("image")):
        (tag,) = image
        tag.set("source", "file")
        if number % UNSEEN:
            image.remove(tag)
            ElementTree.SubElement(image, "tag", label=truth[image.get("name", "")], source="manual")
    return saved(out, ".xml", ElementTree.tostring(root, encoding="unicode"))


def saved(out: Path, suffix: str, text: str) -> Path:
    export = out.with_name(f"{out.name} export{suffix}")
    export.write_text(text, "utf-8")
    return export


@pytest.mark.parametrize(
    ("tool", "annotator"), [("label-studio", label_studio), pytest.param("cvat", cvat, marks=pytest.mark.slow)]
)
def test_three_rounds(tool: str, annotator: Annotator, tmp_path: Path) -> None:
    truth, done = rounds(tmp_path, tool, annotator)
    assert len(done) == 3
    before = 0
    for one in done:
        assert_whole(one, truth)
        right = sum(truth[name] == label for name, label in one.labels.items())
        assert right > before
        before = right
    assert [one.test for one in done] == [done[0].test] * 3
    labelled = [sum(map(bool, one.labels.values())) for one in done]
    new = [one.found["new"] for one in done]
    assert labelled == [120 + sum(new[: k + 1]) for k in range(3)]


def assert_whole(one: Round, truth: dict[str, str]) -> None:
    found: dict[str, Any] = one.found
    unseen = -(-one.shown // UNSEEN)
    assert found["images"] == one.shown == 20
    assert found["added"] == 0
    assert found["changed"] + found["new"] + found["same"] == one.shown - unseen
    (reason,) = [names for why, names in found["reasons"].items() if "predicted" in why]
    assert len(reason) == unseen
    assert len(one.labels) == found["rows"]
    assert {*one.labels} <= {*truth}
