"""What every reader keeps."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from sslkit.conformance import Check, Skipped, expect
from sslkit.reader import Reader

Kind = type[Reader]
GARBAGE = bytes(np.random.default_rng(0).integers(0, 256, 600, np.uint8))


def has_suffixes(cls: Kind) -> None:
    """Suffixes are in small letters, with the dot."""
    wrong = [suffix for suffix in cls.suffixes if not suffix.startswith(".") or suffix != suffix.lower()]
    expect(not wrong, f"it has {wrong[:1]}")
    if not cls.suffixes:
        raise Skipped("it has no suffix, and reads what it knows by its first bytes")


def knows_its_own_alone(cls: Kind) -> None:
    """`knows` answers for any beginning, also an empty one, and does not take noise, text or zeros for its format."""
    reader = cls()
    for head in (b"", b"\0", b"\0" * 512, b"plain text " * 40, GARBAGE[:512]):
        found = reader.knows(head)
        expect(isinstance(found, bool), f"it answers {found!r}")
        expect(not found, f"it takes {head[:12]!r}… for its format")


def refuses_what_is_no_image(cls: Kind) -> None:
    """`read` of what is none raises; it gives no image."""
    for content in (b"", GARBAGE):
        try:
            found = cls().read(io.BytesIO(content))
            if isinstance(found, Image.Image):
                found.load()
        except Exception:
            continue
        expect(False, f"of {len(content)} bytes of {'noise' if content else 'nothing'} it makes an image")


CHECKS: Sequence[Check] = (has_suffixes, knows_its_own_alone, refuses_what_is_no_image)
