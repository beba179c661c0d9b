"""A request with several seeds is what it is with each of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sslkit.config import flatten
from sslkit.machine import Machine
from sslkit.prepare import of_seeds, prepare, read_once
from sslkit.record import run_digest
from sslkit.record.stages import stages

KEYS = {"backbone": "vit_micro", "device": "cpu", "precision": "fp32", "threads": 1}
MACHINE = Machine("cpu", "fp32", 1)


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ({}, 0),
        ({"data.val": 0.2, "data.labels": "10/class"}, 3),
        ({"data.tune": True}, 100),
        ({"semi.epochs": 2, "finetune.epochs": 3, "data.labels": "5%"}, 0),
        ({"data.imbalance": "10"}, 0),
    ],
)
def test_it_is_what_prepare_gives(more: dict[str, Any], first: int) -> None:
    seeds = [first, first + 1, first + 5]
    with read_once():
        for seed, found in zip(seeds, of_seeds(KEYS | more, seeds), strict=True):
            alone = prepare(KEYS | more | {"seed": seed})
            assert flatten(found.config) == flatten(alone.config)
            for name, index in vars(alone.split).items():
                assert np.array_equal(getattr(found.split, name), index), name
            assert run_digest(found) == run_digest(alone)
            keys = [stage.spec.key for stage in stages(found, MACHINE)]
            assert keys == [stage.spec.key for stage in stages(alone, MACHINE)]


def test_two_requests_that_take_turns_keep_their_splits() -> None:
    """As arms of a comparison do; they share what they can."""
    with read_once():
        few, many = (of_seeds(KEYS | {"data.labels": labels}, range(3)) for labels in ("4/class", "10/class"))
        for a, b in zip(few, many, strict=True):
            assert len(a.split.labeled) == 40
            assert len(b.split.labeled) == 100
