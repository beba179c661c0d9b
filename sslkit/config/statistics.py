"""Mean and deviation of the three channels, as `data.stats` is written."""

from __future__ import annotations

import math
from collections.abc import Sequence

Channels = tuple[float, float, float]


def channels(text: str) -> tuple[Channels, Channels]:
    """Mean and deviation of red, green and blue of "0.5,0.5,0.5/0.2,0.2,0.2".

    Raises:
        ValueError: it is not written like that, a mean is not in [0, 1], or a deviation not above 0.
    """
    try:
        mean, std = (tuple(map(float, part.split(","))) for part in text.split("/"))
        (red, green, blue), (r, g, b) = mean, std
    except ValueError:
        pass
    else:
        if all(0 <= x <= 1 for x in mean) and all(0 < x < math.inf for x in std):
            return (red, green, blue), (r, g, b)
    raise ValueError(
        f"stats must be declared, measured, or mean and std as 0.485,0.456,0.406/0.229,0.224,0.225, got {text!r}"
    )


def check(text: str) -> None:
    """Raise a ValueError unless `text` is a value of `data.stats`."""
    if text not in ("declared", "measured"):
        channels(text)


def written(mean: Sequence[float], std: Sequence[float]) -> str:
    """The text that `channels` reads.

    Raises:
        ValueError: they cannot be mean and deviation.
    """
    text = "/".join(",".join(str(float(x)) for x in values) for values in (mean, std))
    channels(text)
    return text
