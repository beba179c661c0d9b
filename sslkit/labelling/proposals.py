"""Images to look at, as tasks with predictions that Label Studio and CVAT import.

A prediction is no label: Label Studio keeps predictions apart from annotations, and of CVAT's tags those with a value
of `confidence` that came from a file and that nobody has changed are read as predictions by `sslkit.labelling.cvat`.
https://labelstud.io/guide/predictions, https://docs.cvat.ai/docs/dataset_management/formats/format-xml/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from sslkit.labelling.cvat import CONFIDENCE
from sslkit.labelling.label_studio_table import USUAL as CONTROL

TOOLS = ("label-studio", "cvat")
LOCAL_FILES = "/data/local-files/?d="  # where Label Studio serves files below its document root


@dataclass(frozen=True)
class Proposal:
    """An image that a person should look at."""

    name: str
    label: str  # that it has; "" is none
    suggested: str
    confidence: float  # the probability of what is suggested
    score: float  # by which it is ranked in its list


def files_for(
    tool: str, proposals: Sequence[Proposal], classes: Sequence[str], prefix: str | None, model: str
) -> dict[str, str]:
    """File name -> text of what a tool imports.

    Args:
        tool: one of TOOLS.
        prefix: what stands before an image's name in the tool; None is `LOCAL_FILES` for Label Studio, "" for CVAT.
        model: how the predictions' origin is called.
    """
    if tool == "label-studio":
        before = LOCAL_FILES if prefix is None else prefix
        tasks = [_task(one, before, model) for one in proposals]
        text = json.dumps(tasks, ensure_ascii=False, indent=1)
        return {"label-studio.json": text, "label-studio.xml": _interface(classes)}
    names = [(prefix or "") + one.name for one in proposals]
    return {
        "cvat.xml": _cvat(proposals, names, classes),
        "cvat-labels.json": json.dumps([_label(name) for name in classes], ensure_ascii=False),
        "cvat-images.txt": "".join(f"{name}\n" for name in names),
    }


def _task(one: Proposal, prefix: str, model: str) -> dict[str, object]:
    """A task of Label Studio. What it says of an image is shown; no key is called as a column of labels."""
    address = prefix + (quote(one.name) if prefix.startswith(("/", "http")) else one.name)
    why = f"labelled {one.label}, which may be wrong" if one.label else "no label yet"
    choice = {"from_name": CONTROL, "to_name": "image", "type": "choices", "value": {"choices": [one.suggested]}}
    prediction = {"model_version": model, "score": round(one.confidence, 4), "result": [choice]}
    data = {"image": address, "why": why, "score": round(one.score, 4)}
    return {"data": data, "predictions": [prediction]}


def _interface(classes: Sequence[str]) -> str:
    """The labelling interface of a project: why an image is shown, and one choice, above what may be a large image."""
    view = Element("View")
    SubElement(view, "Header", value="$why")
    choices = SubElement(view, "Choices", name=CONTROL, toName="image", choice="single", showInline="true")
    for name in classes:
        SubElement(choices, "Choice", value=name)
    SubElement(view, "Image", name="image", value="$image")
    return _text(view)


def _cvat(proposals: Sequence[Proposal], names: Sequence[str], classes: Sequence[str]) -> str:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    for name in classes:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        attribute = SubElement(SubElement(label, "attributes"), "attribute")
        for key, value in _attribute().items():
            SubElement(attribute, key).text = "" if key == "values" else str(value)
    for number, (one, name) in enumerate(zip(proposals, names, strict=True)):
        image = SubElement(root, "image", id=str(number), name=name)
        tag = SubElement(image, "tag", label=one.suggested, source="auto")
        SubElement(tag, "attribute", name=CONFIDENCE).text = f"{one.confidence:.4f}"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + _text(root)


def _label(name: str) -> dict[str, object]:
    """A label as CVAT's constructor takes it in its tab Raw."""
    return {"name": name, "type": "tag", "attributes": [_attribute()]}


def _attribute() -> dict[str, object]:
    return {"name": CONFIDENCE, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}


def _text(root: Element) -> str:
    indent(root, " ")
    return tostring(root, encoding="unicode") + "\n"
