"""Requests to servers by the file systems of fsspec: tried again where they fail, and explained in one line.

`WAITS` is the one place that says how often a request is made again.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable
from random import Random
from typing import Any, TypeVar

from sslkit.errors import UserError, one_line
from sslkit.store import drives
from sslkit.store.drives import PASSING, DriveError

T = TypeVar("T")
WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each further try, times 0.5 to 1.5 by chance
PATIENT = ("gs", "gcs", "hf", "abfs", "abfss", "az", "adl")  # whose packages themselves ask again
S3 = ("s3", "s3a")
FAILING = {  # exceptions of the backends' libraries that say no more than that the way to the server failed
    *("HTTPClientError", "ClientConnectionError", "ClientPayloadError", "TransportError", "FSTimeoutError"),
    *("IncompleteReadError", "ConnectionError", "Timeout", "ResponseStreamingError"),
}
NO_RIGHTS = {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "GatedRepoError"}

_chance = Random()  # not that of training
_lock = threading.Lock()
_systems: dict[str, Any] = {}  # by scheme and host: fsspec itself would make one for each thread


class Denied(DriveError):
    """A server does not let this user in."""


def invalidate() -> None:
    """File systems forget what they have listed."""
    for system in [*_systems.values()]:
        system.invalidate_cache()


def asked(url: str, request: Callable[[Any, str], T]) -> T:
    """What a request to the file system of a URL gives, tried again where the server fails.

    Raises:
        OSError: there is no such file.
        DriveError: the server fails each time, or lets nobody in.
        UserError: nothing here can ask such a server, or it refuses.
    """
    system = _system(url)
    waits = () if url.partition("://")[0] in PATIENT else WAITS
    failed = ""
    for wait in (*waits, None):
        try:
            found = request(system, system._strip_protocol(url))
        except Exception as error:  # backends and their libraries raise what they like
            failed = _passing(error, url)
            if wait is not None:
                time.sleep(wait * (0.5 + _chance.random()))
        else:
            if failed:
                drives.passed(failed)
            return found
    tries = f"tried {len(waits) + 1} times" if waits else "its package tried it several times"
    again = "once it answers, the same command goes on"
    raise DriveError(f"{failed}; {tries}, so the server or the way to it fails: {again}")


def _passing(error: Exception, url: str) -> str:
    """What is said of an error that may pass.

    Raises:
        OSError: it is that there is no such file.
        UserError: it is any other that will not pass.
    """
    if isinstance(error, UserError):
        raise error
    if isinstance(error, ImportError):
        raise _lacking(url, error) from None
    status, kinds = _status(error), {cls.__name__ for cls in type(error).__mro__}
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError) or status in (404, 410):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", url) from None
    if isinstance(error, PermissionError) or status in (401, 403) or kinds & NO_RIGHTS:
        why = f"the server does not let this user in ({one_line(error)})"
        raise Denied(f"{url}: {why}; its package must find credentials that may read, or write, there") from None
    passing = isinstance(error, OSError) and error.errno in PASSING
    passing |= isinstance(error, TimeoutError | ConnectionError) or bool(kinds & FAILING)
    if passing or status in (408, 425, 429) or status >= 500:
        return f"{url}: {one_line(error)}"
    raise UserError(f"{url}: {one_line(error)}") from None


def _status(error: Exception) -> int:
    """The status of HTTP that an exception tells, or 0."""
    for place in (error, getattr(error, "response", None)):
        for name in ("status_code", "status", "code"):
            if isinstance(found := getattr(place, name, None), int):
                return found
    return 0


def _system(url: str) -> Any:
    """The file system that knows a URL.

    Raises:
        UserError: none does, or its package is not installed.
    """
    scheme, _, rest = url.partition("://")
    key = f"{scheme}://{rest.partition('/')[0]}"
    with _lock:
        if key not in _systems:
            _systems[key] = _made(url, scheme)
        return _systems[key]


def _made(url: str, scheme: str) -> Any:
    import fsspec

    try:
        cls: Any = fsspec.get_filesystem_class(scheme)
    except ImportError as error:
        raise _lacking(url, error) from None
    except ValueError:
        known = "s3, gs, hf, abfs, https, sftp and what else fsspec knows"
        raise UserError(f"{url}: no file system is called {scheme!r}; there are {known}") from None
    options = cls._get_kwargs_from_urls(url) | {"use_listings_cache": False, "skip_instance_cache": True}
    if scheme in S3:  # botocore asks five times, s3fs five times more: once is enough beneath `asked`
        more = fsspec.config.conf.get("s3", {}).get("config_kwargs", {})
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}} | more
        options["max_concurrency"] = 1  # else a file is asked for its size before it is read
    try:
        system = cls(**options)
    except Exception as error:
        raise UserError(f"{url}: {one_line(error)}") from None
    if scheme in S3:
        system.retries = 1
    return system


def _lacking(url: str, error: ImportError) -> UserError:
    """That a package is not installed."""
    scheme = url.partition("://")[0]
    root = _module(scheme)
    package = root if root not in ("", "fsspec") else (getattr(error.__cause__ or error, "name", "") or root)
    return UserError(f"{url}: {scheme}:// needs a package that is not installed: pip install {package}")


def _module(scheme: str) -> str:
    from fsspec.registry import known_implementations

    return str(known_implementations.get(scheme, {}).get("class", "")).partition(".")[0]
