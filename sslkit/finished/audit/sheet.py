"""The audit as one HTML page that needs nothing beside it: pictures are inside, all words of the user's are escaped."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from sslkit.data.image import Array

SIDE = 112  # pixels of a picture
STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
main { display: flex; flex-wrap: wrap; gap: 12px }
figure { margin: 0; width: 132px; padding: 8px; border: 1px solid #ccc; border-radius: 4px }
figure.yes { border: 2px solid #b00 }
img { display: block; width: 112px; height: 112px; margin: 0 auto 6px }
figcaption { overflow-wrap: anywhere; font-size: 12px }
"""


@dataclass(frozen=True)
class Card:
    """One picture with what is said about it."""

    pixels: Array  # (3, S, S) uint8
    name: str
    label: str  # "" is none
    suggested: str
    score: float
    also: dict[str, str]


def page(title: str, doubtful: Sequence[Card], wanted: Sequence[Card], outside: Sequence[Card], shared: float) -> str:
    """The page, with its lists in their order; `shared` is the share of all labels that the predictions share."""
    text = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<title>Audit of {text}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>Audit of {text}</h1>
<p>Correct the column <code>label</code> of <code>labels.csv</code>, fill it in where it is empty, and train with
<code>--labels file:labels.csv</code>.</p>
<h2>Labels that may be wrong: {len(doubtful)}</h2>
<p>The score is 1 less the probability of the label, by a prediction that has not seen this label. Framed:
confident learning counts the image to another class. The predictions agree with
{100 * shared:.0f}% of all labels: the fewer, the more of these are errors of the predictions.</p>
<main>
{"".join(map(_figure, doubtful))}</main>
<h2>Images to label next: {len(wanted)}</h2>
<p>The score is uncertainty times the distance to what is labelled or stands before.</p>
<main>
{"".join(map(_figure, wanted))}</main>
<h2>Images of the pool that look least like a class of the labels: {len(outside)}</h2>
<p>p is the share of validation and test images that look as unlike all classes, or more. <code>outside.csv</code> has
all up to 5%, which some images of known classes reach, too; <code>--pool without:outside.csv</code> trains without
them.</p>
<main>
{"".join(map(_figure, outside))}</main>
</body>
</html>
"""


def _figure(card: Card) -> str:
    label = f"<b>{html.escape(card.label)}</b> → " if card.label else ""
    also = ", ".join(f"{html.escape(name)} {html.escape(value)}" for name, value in card.also.items())
    lines = [f"{label}{html.escape(card.suggested)}?", html.escape(card.name), f"{card.score:.2f}, {also}"]
    kind = ' class="yes"' if card.also.get("likely") == "yes" else ""
    picture = f'<img src="{_data(card.pixels)}" alt="">'
    return f"<figure{kind}>{picture}<figcaption>{'<br>'.join(lines)}</figcaption></figure>\n"


def _data(pixels: Array) -> str:
    """A JPEG as a data URI."""
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    small = image.width < SIDE
    image = image.resize((SIDE, SIDE), Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
