"""One value of the configuration, as the type that its key has."""

from __future__ import annotations

import math
import types
import typing
from typing import Any, Literal

from sslkit.errors import UserError, unknown

NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def coerce(key: str, value: Any, hint: Any) -> Any:
    """`value` as the type of `hint`: bool, int, float, str, a Literal, one of these or None, or a share or text.

    Of a share or text, a whole number from 2 on is text: a folder that is called so.
    """
    choices = typing.get_args(hint)
    if hint == float | str:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 2
        hint = str if isinstance(value, str) or whole else float
        choices = ()
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None or value == "auto":
            return None
        hint = next(choice for choice in choices if choice is not types.NoneType)
        choices = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        if value in choices:
            return value
        raise unknown(f"{key}", str(value), map(str, choices))
    wrong = UserError(f"{key} must be {NAMES.get(hint, hint)}, got {value!r}")
    if hint is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)  # data.labels = 40, data.white = 1.02
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(value, hint) and not (hint is int and isinstance(value, bool))):
        if hint is float and not math.isfinite(value):
            raise wrong
        return value
    raise wrong
