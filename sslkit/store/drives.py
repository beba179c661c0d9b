"""Drives that fail at times, as network drives do: what reads from them is tried again, and that is said."""

from __future__ import annotations

import errno
import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sslkit.errors import UserError

P = ParamSpec("P")
T = TypeVar("T")
NAMES = (
    *("EIO", "EREMOTEIO", "ESTALE", "ETIMEDOUT", "EAGAIN", "EBUSY", "EINTR", "ENETDOWN", "ENETUNREACH", "ENETRESET"),
    *("ECONNABORTED", "ECONNRESET", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH"),
)
PASSING = {code for name in NAMES if (code := getattr(errno, name, None)) is not None}  # of the drive, not of the file
WAITS = (0.1, 0.5, 2.0)  # seconds before each further try

_failures: list[str] = []  # of reads that went well later, since `said` was asked
_refused: list[str] = []  # the same of requests to servers


class DriveError(UserError):
    """A drive that still fails when it was asked for the last time. No rule for bad images is for it."""


def tried_again(read: Callable[P, T]) -> Callable[P, T]:
    """`read`, called again where the drive failed.

    Raises:
        DriveError: it failed each time.
        UserError: as `read`.
    """

    @functools.wraps(read)
    def patient(*arguments: P.args, **named: P.kwargs) -> T:
        failed = ""
        for wait in (*WAITS, None):
            try:
                found = read(*arguments, **named)
            except (UserError, OSError) as error:
                cause = _cause(error)
                if cause is None:
                    raise
                if isinstance(cause, DriveError):  # a read within this one was tried often enough
                    raise cause from None
                failed = str(error)
                if wait is None:
                    break
                time.sleep(wait)
            else:
                _failures.extend([failed] if failed else [])
                return found
        again = "once the drive answers, the same command goes on"
        raise DriveError(f"{failed}; tried {len(WAITS) + 1} times, so the drive or the way to it fails: {again}")

    return patient


def _cause(error: BaseException | None) -> BaseException | None:
    """The drive's failure that an error is, or was raised in the place of."""
    while error is not None:
        if isinstance(error, DriveError) or (isinstance(error, OSError) and error.errno in PASSING):
            return error
        error = error.__cause__ or error.__context__
    return None


def passed(failure: str) -> None:
    """Keep how a request to a server failed that went well later, for `said`."""
    _refused.append(failure)


def said() -> list[str]:
    """A sentence on the reads, and one on the requests, that failed at first since it was asked the last time."""
    return [*_told(_failures, "the drive", "read"), *_told(_refused, "a server", "request")]


def _told(failures: list[str], who: str, what: str) -> list[str]:
    count, first = len(failures), failures[:1]
    del failures[:count]
    some = f"1 {what}" if count == 1 else f"{count} {what}s"
    return [f"{who} failed at {some}, which went well when tried again; the first: {one}" for one in first]
