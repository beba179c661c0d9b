"""A map as one HTML page that needs nothing beside it: points and thumbnails are inside.

The only script that may run is the page's own, by its hash; names are data, and are shown as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data.image import Array
from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.thumbnails import ACROSS, SIDE, cell, sheets
from sslkit.store.files import replacing

HERE = Path(__file__).parent
SCRIPTS = ("points.js", "controls.js")  # one after the other they are the page's script


def write_page(points: Points, out: Path) -> None:
    """Write the page; sheets of thumbnails are made one at a time.

    Raises:
        UserError: it cannot be written, or an image cannot be read.
    """
    with replacing(out) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(page(points))


def page(points: Points) -> Iterator[str]:
    """The page in pieces."""
    script = "".join((HERE / name).read_text("utf-8") for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    before, after = (HERE / "page.html").read_text("utf-8").split("{{ data }}")
    words = {"run": points.run, "images": points.said, "projection": points.projection.said}
    for name, text in {**words, "hash": digest}.items():
        before = before.replace(f"{{{{ {name} }}}}", html.escape(text))
    yield before
    yield f'<script type="application/json" id="data">{_json(_data(points))}</script>\n'
    for sheet in sheets(points.pixels):
        yield f'<script type="text/plain" class="sheet">{base64.b64encode(sheet).decode()}</script>\n'
    yield after.replace("{{ script }}", script)


def _data(points: Points) -> dict[str, Any]:
    """What the script reads: lists of names, and columns of numbers, each in base64."""
    side = int(points.pixels.shape[2])
    columns = {
        "x": _column(points.projection.xy[:, 0], "<f4"),
        "y": _column(points.projection.xy[:, 1], "<f4"),
        "part": _column(points.part, "<i2"),
        "label": _column(points.label, "<i2"),
        "prediction": _column(points.prediction, "<i2"),
        "confidence": _column(points.confidence, "<f4"),
        "margin": _column(points.margin, "<f4"),
    }
    thumbnails = {"side": min(side, SIDE), "cell": cell(side), "across": ACROSS}
    about = {"classes": [*points.classes], "parts": [*points.parts], "names": [*points.names]}
    return {**about, "columns": columns, "thumbnails": thumbnails}


def _column(numbers: Array, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers, kind).tobytes()).decode()


def _json(value: Any) -> str:
    """JSON within a script element: nothing in it ends the element or begins a comment."""
    return json.dumps(value).replace("<", "\\u003c")
