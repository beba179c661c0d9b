"""Which images cannot be read, and what equals what: one pass before training, kept image by image for the next run."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Raw, formats
from sslkit.data.image import PLAIN, Array, BadImageError, read_rgb
from sslkit.data.kept import kept
from sslkit.data.seen import SIGHT, Seen, marks, sight
from sslkit.data.stored import identity, reading
from sslkit.data.threads import in_threads
from sslkit.errors import UserError
from sslkit.version import __version__

MOST = 20  # images that cannot be read are named in one message


def bad_images(raw: Raw, part: str, cache: Path | None = None) -> dict[int, str]:
    """Number of each image that cannot be decoded -> the sentence that says why, with its name; as `looked_at`."""
    return looked_at(raw, part, cache)[0]


def looked_at(raw: Raw, part: str, cache: Path | None = None) -> tuple[dict[int, str], Array]:
    """Number of each image that cannot be decoded -> the sentence that says why, with its name; and (N,) `SIGHT`.

    Every image is decoded once, by threads, and forgotten; with `cache`, those that were read before are not opened.
    Arrays are not looked at: what is there of them is 0.

    Args:
        part: "train" or "test", for the names.
    """
    if isinstance(raw.images, np.ndarray):
        return {}, np.zeros(len(raw.images), SIGHT)
    of, seen = marks(raw), Seen(cache, reading(raw.tone))
    known, sights = seen.known(of)
    new = np.flatnonzero(~known)

    def reason(i: int) -> str:
        try:
            sights[i] = sight(read_rgb(raw.source(i), raw.name(i, part), raw.tone))
        except BadImageError as error:
            return str(error)
        return ""

    reasons = in_threads(reason, new.tolist(), f"{part} images are read, to find those that cannot be")
    good = new[[not said for said in reasons]]
    sights["mark"][good] = of[good]
    seen.add(sights[good])
    return {i: said for i, said in zip(new.tolist(), reasons, strict=True) if said}, sights


def refuse(reasons: Sequence[str], among: int) -> None:
    """Stop where images cannot be read, of which the reasons are given; names the first `MOST`.

    Raises:
        BadImageError: there are such.
    """
    if len(reasons) == 1:
        raise BadImageError(reasons[0])
    if reasons:
        rest = f"; and {len(reasons) - MOST} more" if len(reasons) > MOST else ""
        raise BadImageError(f"{len(reasons)} of {among} images cannot be read: {'; '.join(reasons[:MOST])}{rest}")


def remembered(cache: Path | None, kind: str, raws: Sequence[Raw], make: Callable[[], Any]) -> Any:
    """What `make` gives, as JSON has it, kept in `cache` under what tells the images apart.

    Args:
        kind: beginning of the file's name.
    """
    return kept(cache / f"{kind}-{_identity(raws)}.json" if cache else None, make, lambda found: found)


def over(raw: Raw, some: Sequence[int], ask: Callable[[int], Any], cache: Path | None, kind: str) -> Iterable[Any]:
    """What `ask` gives, as JSON has it, for some of the images.

    Here they are asked one after another, as far as it is wanted; on a server all at once, and the answers are kept in
    `cache` for the next time, as by `remembered`.
    """
    return remembered(cache, kind, [raw], lambda: in_threads(ask, some)) if raw.far else map(ask, some)


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
