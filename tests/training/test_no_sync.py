"""Nothing in a training step waits for the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslkit.conformance.guard import HostSync, no_sync
from sslkit.training.log import Log
from tests.algorithms.make import needed, stepping
from tests.kernel.make import engine

ALGORITHMS = stepping()
SLOTTED = [algorithm for algorithm in ALGORITHMS if algorithm != "supervised"]
CASES = [
    *((algorithm, "vit_micro", {}) for algorithm in ALGORITHMS),
    ("fixmatch", "vit_micro", {"mixer": "pseudo", "teacher": "ema", "labeler": "flexmatch"}),
    ("fixmatch", "vit_micro", {"mixer": "pseudo_plus"}),
    ("fixmatch", "vit_micro", {"algo.joint": True}),
    ("fixmatch", "wrn_10_1", {"semi.clip": 1.0, "semi.optimizer": "sgd"}),
]


@pytest.mark.parametrize(("algorithm", "backbone", "more"), CASES, ids=str)
def test_a_step_does_not_wait(algorithm: str, backbone: str, more: dict[str, Any], tmp_path: Path) -> None:
    request: dict[str, Any] = {"algo": algorithm, "backbone": backbone} | needed(algorithm) | more
    if algorithm != "supervised":
        request["semi.skip_rejected"] = "off"
    made = engine(tmp_path, **{key.replace(".", "__"): value for key, value in request.items()})
    made.algorithm.train()
    log = Log(tmp_path, 0, 0)
    made.step(0, log)  # what the first step alone does, optimizer states, is made once
    with no_sync():
        made.step(1, log)
        made.step(2, log)


def test_the_guard_sees_rejected_images_being_skipped(tmp_path: Path) -> None:
    made = engine(tmp_path, algo="fixmatch", semi__skip_rejected="on")
    with pytest.raises(HostSync), no_sync():
        made.step(0, Log(tmp_path, 0, 0))
