"""One look at every image: can it be read, how large is it, what is in it, and what does it look like in small."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from sslkit.data import Raw
from sslkit.data.duplicates import content
from sslkit.data.image import PLAIN, Array, BadImageError, Tone, seen, to_rgb
from sslkit.data.near import perceptual_hash, thumb
from sslkit.data.threads import in_threads
from sslkit.reader import Levels

LEVELS = np.arange(256) / 255


@dataclass(frozen=True)
class Look:
    """What one image is; of one that cannot be read, only why."""

    bad: str  # the sentence, or ""
    width: int = 0
    height: int = 0
    mode: str = ""  # Pillow's, as stored
    form: str = ""  # "JPEG", "PNG", …; "" for arrays
    content: bytes | None = None  # equal where all bytes are
    hash: int = 0
    thumb: Array | None = None  # (16, 16) uint8, grey
    moments: Array | None = None  # (2, 3) means of the levels in [0, 1] and of their squares


def inspect(raw: Raw, part: str) -> list[Look]:
    """One look at every image of a part, by threads."""
    what = f"{part} images are looked at"
    return in_threads(lambda i: look(raw.source(i), raw.name(i, part), raw.tone), range(len(raw.images)), what)


def look(source: object, name: str, tone: Tone = PLAIN) -> Look:
    """One image; see `opened` for what `source` may be."""

    def kind(found: Image.Image | Levels) -> tuple[str, str, Image.Image]:
        return found.mode, (found.form if isinstance(found, Levels) else found.format) or "", to_rgb(found, tone)

    try:
        mode, form, rgb = seen(source, name, kind)
    except BadImageError as error:
        return Look(str(error))
    grey = rgb.convert("L")
    share = np.array(rgb.histogram()).reshape(3, 256) / (rgb.width * rgb.height)
    return Look(
        "",
        rgb.width,
        rgb.height,
        mode,
        form,
        content(source),
        perceptual_hash(grey),
        thumb(grey),
        np.stack([share @ LEVELS, share @ LEVELS**2]),
    )
