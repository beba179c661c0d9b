"""Lengths of time as people write them, 2h or 1h30m, and as they read them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sslkit.config import STAGES, Flat
from sslkit.errors import UserError

TEXT = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)


def duration(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def refuse_steps(request: Mapping[str, object]) -> None:
    """A request for a time sets no steps itself.

    Raises:
        UserError: it does.
    """
    lengths = [f"{stage}.{name}" for stage in STAGES for name in ("steps", "epochs", "images")]
    given = next((key for key in lengths if key in request), None)
    if request.get("time") is not None and given:
        raise UserError(f"--time sets the steps of all stages, and so does {given}; drop one of them")


def in_seconds(flat: Flat) -> Flat:
    """The request with its `time`, as 2h, 90m, 45s or 1h30m, as a number of seconds.

    Raises:
        UserError: it is not like that, or 0.
    """
    text = flat.get("time")
    if not isinstance(text, str) or text == "auto":
        return flat
    match = TEXT.fullmatch(text.replace(" ", ""))
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise UserError(f"--time must be like 2h, 90m, 45s or 1h30m, got {text!r}")
    return flat | {"time": total}
