"""Two comparisons on one store, killed with their workers; `kill_compare.py` does so at length."""

import pytest

from tests.reliability.kill_compare import main


@pytest.mark.slow
def test_comparisons_that_are_killed_train_each_stage_once_and_equal_to_the_bit() -> None:
    assert main(["--kills", "3", "--seeds", "1", "--seed", "5"]) == 0
