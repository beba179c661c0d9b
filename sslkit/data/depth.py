"""Which level is white in images of more than 8 bits, and how much of their range is used.

The test part is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Raw
from sslkit.data.checking import over, remembered
from sslkit.data.image import PLAIN, BadImageError, Tone, as_bands, chosen, seen, white_of_floats
from sslkit.data.threads import in_threads
from sslkit.errors import UserError
from sslkit.reader import Levels

SAMPLE, MOST = 500, 5000  # images that are opened to see whether there are deep ones, and deep ones that are measured
FEW = 50  # that are opened to see whether images to predict are dark
MEASURED = "as measured"
ABOVE = 0.001  # share of an image's levels that may be above a white that is measured


@dataclass(frozen=True)
class Range:
    """What levels deep images hold, over all that were measured."""

    images: int
    of: int  # images that were opened
    low: float
    high: float
    measured: float  # the highest level that no image has more than `ABOVE` of its levels above
    depths: Sequence[float]  # levels of white by the files' depths; 0 stands for floats, which have none


def toned(
    train: Raw,
    white: str | None,
    bands: str,
    cache: Path | None,
    told: Tone = PLAIN,
    whose: str = "the weights",
    these: str = "training images",
) -> tuple[Tone, str]:
    """How the levels of a data set are read, and a sentence about it, or "".

    Args:
        train: the training part as it is read; a test that is set aside from it later is looked at, too.
        white: `data.white`: a level, "measured", or None: by depth; but measured where no training image uses more than
            half of that.
        bands: `data.bands`.
        cache: folder where what was measured is kept for the next time.
        told: how levels were read for something else, `whose`; it holds where nobody asks for another and images have
            such levels.
        these: what the images are called.

    Raises:
        UserError: `white` or `bands` is asked for where no image has it; images lack a band that `told` has.
    """
    tone = Tone(bands=tuple(map(int, bands.split(","))) if bands else ())
    if isinstance(train.images, np.ndarray):
        for key, asked in (("white", white), ("bands", bands)):
            if asked:
                raise UserError(f"data.{key} is for files of images, and this data set has arrays of 8 bits; drop it")
        return PLAIN, ""
    if told.bands and not bands:
        _check_bands(train, told, whose)
        tone = Tone(bands=told.bands)
    if not any(over(train, _spread(len(train.images), SAMPLE), partial(_is_deep, train), cache, "deep")):
        if white:
            raise UserError(
                f"data.white={white} is for images of more than 8 bits, and there is none among the {these}; drop it"
            )
        return tone, ""
    known = replace(train, tone=tone)
    found = Range(**remembered(cache, "levels", [known], lambda: vars(_measured(known))))
    level, why = (told.white, f"as for {whose}") if told.white and not white else _white(white, found, these)
    return replace(tone, white=level), _said(found, level, why, these)


def dim(raw: Raw) -> str:
    """A sentence where deep images use no more than half of what is white by their depth, so that they are dark; or "".

    Some of them are opened.
    """
    some = [*_spread(len(raw.images), FEW)]
    if isinstance(raw.images, np.ndarray) or not any(_is_deep(raw, i) for i in some):
        return ""
    found = _measured(raw, FEW)
    level, why = _white(None, found, "")
    if level is None or not why.startswith(MEASURED) or not found.depths[0]:
        return ""
    levels = f"levels from {found.low:g} to {found.high:g}, and white is {found.depths[0]:g}"
    return (
        f"images of more than 8 bits hold {levels}: they "
        f"are dark; --set data.white={found.measured:g}, or measured, makes that white"
    )


def _check_bands(raw: Raw, told: Tone, whose: str) -> None:
    """Raise where the first image that can be read lacks a band; others are named when they are read."""
    bands = ",".join(map(str, told.bands))
    for i in _spread(len(raw.images), SAMPLE):
        with suppress(BadImageError):
            count = seen(raw.source(i), raw.name(i, "train"), _count)
            if count < max(told.bands):
                raise UserError(
                    f"{raw.name(i, 'train')} has {count} band{'s' * (count > 1)}, and {whose} had data.bands={bands}; "
                    f"--set data.bands={'1,2,3' if count > 2 else '1'} says which are meant here"
                )
            return


def _count(found: Any) -> int:
    """Bands of an image, of which opacity is one."""
    return as_bands(found).bands.shape[2] if isinstance(found, Levels) else max(1, len(found.getbands()))


def _spread(count: int, most: int) -> Sequence[int]:
    return range(0, count, max(1, -(-count // most)))


def _is_deep(raw: Raw, i: int) -> bool:
    """Whether an image is deeper than 8 bits; False where it cannot be read, which is found later."""
    try:
        return seen(raw.source(i), raw.name(i, "train"), _deep)
    except BadImageError:
        return False


def _deep(found: Any) -> bool:
    return isinstance(found, Levels) and found.bands.dtype != np.uint8


def _measured(raw: Raw, most: int = MOST) -> Range:
    def of(found: Any) -> tuple[float, float, float, float] | None:
        if not _deep(found):
            return None
        some = np.sort(chosen(as_bands(found) if raw.tone.bands else found, raw.tone), axis=None)
        if not np.isfinite(some[[0, -1]]).all():
            return None  # it is refused when it is read
        nearly = some[int(np.ceil((1 - ABOVE) * (len(some) - 1)))]
        return float(some[0]), float(some[-1]), float(nearly), float(found.white or 0)

    def levels(i: int) -> tuple[float, float, float, float] | None:
        try:
            return seen(raw.source(i), raw.name(i, "train"), of)
        except BadImageError:
            return None

    numbers = _spread(len(raw.images), most)
    found: Any = np.array([one for one in in_threads(levels, numbers) if one] or [(0, 0, 0, 0)])
    low, high, nearly, depths = found[:, 0].min(), found[:, 1].max(), found[:, 2].max(), np.unique(found[:, 3])
    return Range(len(found), len(numbers), float(low), float(high), float(nearly), depths.tolist())


def _white(asked: str | None, found: Range, these: str) -> tuple[float | None, str]:
    """The level of white, None where it is that of each file's depth, and why it is that."""
    if asked == "measured":
        return found.measured or 1, f"{MEASURED} on the {these}"
    if asked:
        return float(asked), "as data.white says"
    if len(found.depths) > 1:
        return None, "by the depth of each file"
    depth = found.depths[0] or white_of_floats(found.high)
    if depth and found.high > depth / 2:
        return (None if found.depths[0] else depth), "by depth"
    return found.measured or 1, f"{MEASURED} on the {these}, for they use no more than half of their depth"


def _said(found: Range, level: float | None, why: str, these: str) -> str:
    white = level or found.depths[-1]
    share = (min(found.high, white) - min(found.low, white)) / white
    greys = round(255 * min(1, found.high / white)) - round(255 * min(1, found.low / white)) + 1
    return (
        f"images of more than 8 bits, {found.images} of {found.of} {these}: their levels go from {found.low:g} "
        f"to {found.high:g}, and white is {white:g}, {why}; so {share:.1%} of the range is used, {greys} of 256 levels "
        f"(data.white=LEVEL, or measured, {found.measured:g}, sets white)"
    )
