"""For the tests of a part of one's own: the checks of `sslkit check` as one call, or as a fixture of pytest."""

from __future__ import annotations

from typing import Any

import pytest

from sslkit.conformance import check_class


def assert_conforms(cls: type[Any], name: str = "") -> None:
    """Make all checks of the part `cls`, whatever its kind.

    Args:
        name: where the part needs an argument, as a data set may, `NAME:ARGUMENT`.

    Raises:
        AssertionError: one fails that is not among `known_failures`; says what was seen.
    """
    failed = [one for one in check_class(cls, name) if one.state == "failed"]
    assert not failed, "\n".join(f"{one.check}: {one.reason}. {one.holds}" for one in failed)


@pytest.fixture
def conforms() -> Any:
    """`assert_conforms`, for tests that import this fixture."""
    return assert_conforms
