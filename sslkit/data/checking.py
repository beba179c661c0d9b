"""Which images cannot be read: found before anything is decoded for training, and remembered for the next run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Raw, formats
from sslkit.data.image import PLAIN, BadImageError, read_rgb
from sslkit.data.stored import identity
from sslkit.data.threads import in_threads
from sslkit.errors import UserError
from sslkit.store.files import write_text
from sslkit.store.version import __version__


def bad_images(raw: Raw, part: str, cache: Path | None = None) -> dict[int, str]:
    """Number of each image that cannot be decoded -> the sentence that says why, with its name.

    Every image is decoded once, by threads, and forgotten; with `cache`, the answer for the same files is found there.

    Args:
        part: "train" or "test", for the names.
    """
    if isinstance(raw.images, np.ndarray):
        return {}
    found = remembered(cache, "bad", [raw], lambda: _bad(raw, part))
    return {int(i): reason for i, reason in found.items()}


def _bad(raw: Raw, part: str) -> dict[str, str]:
    def reason(i: int) -> str:
        try:
            read_rgb(raw.source(i), raw.name(i, part), raw.tone)
        except BadImageError as error:
            return str(error)
        return ""

    return {str(i): said for i, said in enumerate(in_threads(reason, range(len(raw.images)))) if said}


def remembered(cache: Path | None, kind: str, raws: Sequence[Raw], make: Callable[[], Any]) -> Any:
    """What `make` gives, as JSON has it, kept in `cache` under what tells the images apart.

    Args:
        kind: beginning of the file's name.
    """
    if cache is None:
        return json.loads(json.dumps(make()))
    path = cache / f"{kind}-{_identity(raws)}.json"
    with contextlib.suppress(OSError, ValueError):  # not there, or damaged
        return json.loads(path.read_text("utf-8"))
    text = json.dumps(make())
    with contextlib.suppress(OSError, UserError):  # no room: found out again the next time
        cache.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    return json.loads(text)


def _identity(raws: Sequence[Raw]) -> str:
    """16 hexadecimal digits of the names and contents of all images, of files by path, size and time of change."""
    digest = hashlib.sha256(" ".join([__version__, *formats.added()]).encode())
    for number, raw in enumerate(raws):
        digest.update(b"" if raw.tone == PLAIN else str(raw.tone).encode())
        for i in range(len(raw.images)):
            digest.update(f"{number} {raw.name(i, '')} ".encode(errors="surrogateescape"))
            with contextlib.suppress(UserError):  # a file that is gone is told by its name alone
                digest.update(identity(raw.source(i)))
    return digest.hexdigest()[:16]
