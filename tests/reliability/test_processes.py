"""Two gloo processes give the weights of one process with twice the micro-batches, for every algorithm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.store import checkpoint
from tests.reliability.jobs import ALGORITHMS, MORE, STEPS, job, train
from tests.reliability.two_processes import CASES, label

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shipped")]
# One micro-batch of everything: sums in another order, so equal to a tolerance.
WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("supervised", {"semi__optimizer": "sgd"}),
    ("fixmatch", {"semi__optimizer": "sgd"}),
    *((name, {"semi__optimizer": "sgd"}) for name in ("mean_teacher", "pseudo_label", "pi_model")),
    ("ema_teacher", {"semi__optimizer": "sgd", "mixer": "none"}),
]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where two processes have trained all cases."""
    folder = tmp_path_factory.mktemp("pair")
    root = Path(__file__).parents[2]
    line = [sys.executable, "-m", "tests.reliability.two_processes", str(folder)]
    done = subprocess.run(
        line,
        cwd=root,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def ended(folder: Path) -> dict[str, Tensor]:
    """Weights, averages, states and optimizer states: after SGD's momentum, equal gradients."""
    path = folder / f"checkpoint-{STEPS:09d}.safetensors"
    return checkpoint.load(path)[0]


def apart(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, float]:
    """Name -> largest difference, where there is one."""
    assert one.keys() == other.keys()
    found = {name: float((one[name].double() - other[name].double()).abs().max()) for name in one}
    return {name: difference for name, difference in found.items() if difference}


@pytest.mark.parametrize(("algorithm", "also"), CASES, ids=[label(*case) for case in CASES])
def test_two_processes_are_one_with_twice_the_micro_batches(algorithm, also, pair, tmp_path):
    torch.set_num_threads(1)
    more = also | {"semi__accumulate": 2 * also.get("semi__accumulate", 1)}
    into = tmp_path / "stages" / "k"
    train(job(algorithm, **more), into)
    alone, both = ended(into), ended(pair / label(algorithm, also) / "0")
    if algorithm == "flexmatch":
        assert torch.equal(alone["algorithm.labeler.learned.seen"], both["algorithm.labeler.learned.seen"])
        assert (alone["algorithm.labeler.learned.seen"] < 10).any()
    if more["semi__accumulate"] == 2:
        assert not apart(alone, both)  # to the bit: a sum of two terms has one order
    else:
        assert max(apart(alone, both).values(), default=0.0) < 1e-6


@pytest.mark.parametrize(("algorithm", "also"), CASES, ids=[label(*case) for case in CASES])
def test_both_processes_end_with_the_same_weights(algorithm, also, pair):
    weights = [checkpoint.load(pair / label(algorithm, also) / str(r) / "weights.safetensors")[0] for r in range(2)]
    assert not apart(*weights)


@pytest.mark.parametrize(("algorithm", "also"), WHOLE, ids=[label(*case) for case in WHOLE])
def test_without_state_across_samples_they_are_one_process_with_the_whole_batch(algorithm, also, pair, tmp_path):
    torch.set_num_threads(1)
    train(job(algorithm, **also), tmp_path)
    found = apart(ended(tmp_path), ended(pair / label(algorithm, also) / "0"))
    assert max(found.values(), default=0.0) < 2e-5


def test_every_algorithm_is_tried():
    assert {name for name, _ in CASES} == {*ALGORITHMS, *MORE}
