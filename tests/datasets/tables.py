"""Tables of labels, drawn: form, header, separators, the way that paths and letters are written; the answer beside."""

from __future__ import annotations

import csv
import io
import json
import random
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.datasets.make import pictures

CLASSES = ["été", "black dog", "猫", "Ünder", "cat", "x-ray"]
STEMS = ["IMG", "a b", "Zoë", "猫", "n0144", "x.y"]
HEADERS = [("path", "label"), ("Bild", "Art"), ("file_name", "species"), ("filename", "Class"), ("photo", "kind of it")]
PATHS: dict[str, Callable[[str, Path], str]] = {
    "below": lambda name, _: name,
    "file": lambda name, _: name.rpartition("/")[2],
    "bare": lambda name, _: name.rpartition(".")[0],
    "bare file": lambda name, _: name.rpartition("/")[2].rpartition(".")[0],
    "absolute": lambda name, root: f"{root.absolute()}/{name}",
    "windows": lambda name, _: ".\\" + name.replace("/", "\\"),
    "capitals": lambda name, _: name.replace(".png", ".PNG"),
}
FORMS = [
    *("comma", "semicolon", "tab", "utf-16", "pandas", "without header", "spaces", "one column a class"),
    *("lines", "records", "pairs", "mapping", "by class", "columns", "orient columns"),
]


@dataclass(frozen=True)
class Drawn:
    root: Path  # of the images
    file: Path
    truth: dict[str, str]  # name of each image, as the disk has it -> its class, "" where it has none
    how: str


def drawn(draw: random.Random, root: Path, form: str, style: str, folders: list[str], *, all_named: bool) -> Drawn:
    """Images in folders, and a table of their labels.

    Args:
        all_named: every image has a label.
    """
    forms: list[Literal["NFC", "NFD"]] = ["NFC", "NFD"]
    disk, written = draw.choice(forms), draw.choice(forms)
    number = draw.random() < 0.3
    classes = draw.sample(CLASSES, 3) if not number else ["3", "10", "7"]
    if form == "spaces" and style.startswith("bare"):  # where nothing says where the path ends
        style = "below"
    stems = [stem for stem in STEMS if " " not in stem] if style.startswith("bare") else STEMS
    names = [f"{draw.choice(folders)}/{draw.choice(stems)}_{i}.png".lstrip("/") for i in range(14)]
    names = [unicodedata.normalize(disk, name) for name in names]
    pictures(root, names)
    labels = draw.sample([*classes * 3, *draw.choices(classes, k=5)], 14)
    if not all_named and form != "one column a class":
        labels[5] = ""
    truth = dict(zip(names, (unicodedata.normalize("NFC", label) for label in labels), strict=True))
    rows = [
        (unicodedata.normalize(written, PATHS[style](name, root)), unicodedata.normalize(written, label))
        for name, label in zip(names, labels, strict=True)
        if label or form != "by class"
    ]
    draw.shuffle(rows)
    file = root.parent / f"{root.name} labels{ {'lines': '.jsonl', 'spaces': '.txt'}.get(form, '.csv') }"
    header = draw.choice(HEADERS)
    encoding = "utf-16" if form == "utf-16" else draw.choice(["utf-8", "utf-8-sig"])
    file.write_text(_text(draw, form, header, rows, sorted({*classes})), encoding)
    return Drawn(root, file, truth, f"{form}, {style}, {header}, disk {disk}, table {written}")


def _text(
    draw: random.Random, form: str, header: tuple[str, str], rows: list[tuple[str, str]], classes: list[str]
) -> str:
    path, label = header
    turn = draw.random() < 0.3 and form in ("comma", "semicolon", "tab", "utf-16")
    if form in ("comma", "semicolon", "tab", "utf-16", "without header"):
        table = [list(row) for row in ([header, *rows] if form != "without header" else rows)]
        return _csv([row[::-1] for row in table] if turn else table, {"semicolon": ";", "tab": "\t"}.get(form, ","))
    if form == "pandas":
        return _csv([["", *header], *([str(i), *row] for i, row in enumerate(rows))], ",")
    if form == "spaces":
        return "".join(f"{a}{draw.choice([' ', '  '])}{b or '-1'}\n" for a, b in rows)
    if form == "one column a class":
        one = draw.choice(["1", "1.0", "True"])
        zero = {"1": "0", "1.0": "0.0", "True": "False"}[one]
        called = [unicodedata.normalize("NFC", c) for c in classes]
        told = [[a, *(one if unicodedata.normalize("NFC", b) == c else zero for c in called)] for a, b in rows]
        return _csv([[path, *called], *told], ",")
    records: list[dict[str, Any]] = [{path: a, label: b or None} for a, b in rows]
    made: Any = {
        "lines": records,
        "records": records,
        "pairs": [[a, b or None] for a, b in rows],
        "mapping": {a: b or None for a, b in rows},
        "by class": {
            c: [a for a, b in rows if unicodedata.normalize("NFC", b) == unicodedata.normalize("NFC", c)]
            for c in classes
        },
        "columns": {"file": [a for a, _ in rows], "label": [b or None for _, b in rows]},
        "orient columns": {
            "file": {str(i): a for i, (a, _) in enumerate(rows)},
            "label": {str(i): b or None for i, (_, b) in enumerate(rows)},
        },
    }[form]
    ascii_ = draw.random() < 0.5
    if form == "lines":
        return "".join(json.dumps(record, ensure_ascii=ascii_) + "\n" for record in made)
    return json.dumps(made, ensure_ascii=ascii_, indent=draw.choice([None, 2]))


def _csv(table: list[list[str]], between: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=between, lineterminator="\n").writerows(table)
    return text.getvalue()
