"""After every harm the same command ends with the table of a local run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import harms, real

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def slurm() -> Iterator[None]:
    """Slurm without accounting. Where none can be started tests are skipped; where REQUIRE_SLURM is set, they fail."""
    if why := real.possible():
        if os.environ.get("REQUIRE_SLURM"):
            pytest.fail(f"no Slurm can be started here: {why}")
        pytest.skip(f"no Slurm can be started here: {why}")
    real.start()
    yield
    real.stop()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("slurm")


@pytest.fixture(scope="module")
def limit(slurm: None, place: Path) -> Iterator[harms.Limit]:
    """A stage that is longer than the time of its job; the other tests run meanwhile."""
    made = harms.Limit(place)
    yield made
    made.driver.kill()


@pytest.fixture(scope="module")
def here(limit: harms.Limit, place: Path) -> real.Comparison:
    """The same in one process."""
    made = real.Comparison(place / "here", real.SHORT)
    made.run(here=True)
    return made


@pytest.mark.parametrize("harm", harms.HARMS, ids=lambda harm: harm.__name__)
def test_after_a_harm_the_same_command_gives_the_same_table(
    harm: harms.Harm, here: real.Comparison, place: Path
) -> None:
    found = harm(place / harm.__name__)
    real.assert_equal(found, here)


def test_a_stage_that_is_longer_than_a_job_may_last(limit: harms.Limit) -> None:
    assert limit.end() >= 3
