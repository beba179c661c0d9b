"""Weights of classes, as `data.class_weights` is written: "none", "auto", or "NAME=NUMBER,NAME=NUMBER"."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

KEY = "data.class_weights"
PAIR = re.compile(r"\s*(.+?)\s*=\s*([^\s=,]+)\s*(?:,|$)", re.DOTALL)  # a name may hold commas and equal signs


def by_name(text: str) -> dict[str, float]:
    """Class -> number, of the classes that `text` names; none for "none" and "auto".

    Raises:
        ValueError: it is not written like that, a class is named twice, or a number is not above 0 and finite.
    """
    found: dict[str, float] = {}
    place = 0
    while text not in ("none", "auto") and (place < len(text) or not text):
        pair = PAIR.match(text, place)
        number = _number(pair[2]) if pair else 0.0
        if not pair or not 0 < number < math.inf:
            raise ValueError(f"class_weights must be none, auto, or numbers above 0 as cat=2,dog=0.5, got {text!r}")
        if pair[1] in found:
            raise ValueError(f"class_weights names class {pair[1]!r} twice: {text!r}")
        found[pair[1]], place = number, pair.end()
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def joined(flat: Mapping[str, Any]) -> dict[str, Any]:
    """`flat` with a table of weights, as a file or Python has it, as the text that `by_name` reads."""
    own = {k.removeprefix(f"{KEY}."): v for k, v in flat.items() if k.startswith(f"{KEY}.")}
    own |= flat[KEY] if isinstance(flat.get(KEY), Mapping) else {}
    rest = {k: v for k, v in flat.items() if not k.startswith(f"{KEY}.")}
    return rest | ({KEY: ",".join(f"{name}={number}" for name, number in own.items())} if own else {})
