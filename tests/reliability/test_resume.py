"""A stage stopped at an odd step and gone on with by new objects ends equal to the bit, for every algorithm."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit.backbones.vit_micro import ViTMicro
from sslkit.errors import Stopped
from sslkit.store import checkpoint
from sslkit.training.engine import Engine
from tests.reliability.jobs import ALGORITHMS, MORE, STEPS, job, train
from tests.training.test_execution import ONE_BLOCK, compiles

ODD = 7  # after this step, which is no log interval


def stop_after(steps: int):
    """For `Engine(stop=…)`, which is asked once a step."""
    asked = iter(range(1, 10**6))
    return lambda: next(asked) >= steps


OFTEN = [
    ("flexmatch", "vit_micro", "adamw"),
    ("ema_teacher", "vit_micro", "adamw"),
    ("supervised", "wrn_10_1", "adamw"),
    ("mean_teacher", "wrn_10_1", "sgd"),
    ("fixmatch", "wrn_10_1", "sgd"),
]
CASES = [
    *(
        pytest.param(*case, False, marks=() if case in OFTEN else pytest.mark.slow)
        for case in product(ALGORITHMS, ["vit_micro", "wrn_10_1"], ["adamw", "sgd"])
    ),
    *(pytest.param(name, "wrn_10_1", "adamw", False, marks=pytest.mark.slow) for name in MORE),
    pytest.param("ema_teacher", "vit_micro", "adamw", True, marks=[pytest.mark.slow, compiles]),
]


@pytest.mark.parametrize(("algorithm", "backbone", "optimizer", "compiled"), CASES)
def test_going_on_is_exact(algorithm: str, backbone: str, optimizer: str, compiled: bool, tmp_path: Path, monkeypatch):
    torch.set_num_threads(1)
    if compiled:
        monkeypatch.setattr(ViTMicro, "width", ONE_BLOCK)
    also: dict[str, Any] = {"semi__optimizer": optimizer, "semi__accumulate": 2, "semi__clip": 1.0}
    also |= {"compile": True, "semi__skip_rejected": "off"} if compiled else {}
    quiet = train(job(algorithm, backbone, **also), tmp_path / "quiet")
    with pytest.raises(Stopped, match=f"after step {ODD} of {STEPS}"):
        train(job(algorithm, backbone, **also), tmp_path / "stopped", stop=stop_after(ODD))
    torch.manual_seed(12345)  # another process has another generator
    torch.rand(77)
    resumed = train(job(algorithm, backbone, **also), tmp_path / "stopped")

    for other in ("weights.safetensors", "predictions.safetensors"):
        assert (quiet.parent / other).read_bytes() == (resumed.parent / other).read_bytes(), other
    expected, found = (checkpoint.load(path)[0] for path in (quiet, resumed))
    assert expected.keys() == found.keys()
    assert any(name.startswith("optimizer.main.") for name in expected)
    apart = [name for name in expected if not torch.equal(expected[name], found[name])]
    assert not apart


def test_these_trainings_have_a_state_to_lose(tmp_path: Path):
    """Else the test above would prove little: FlexMatch has learned classes, some images are kept and some not."""
    torch.set_num_threads(1)
    tensors, _ = checkpoint.load(train(job("flexmatch"), tmp_path))
    seen = tensors["algorithm.labeler.learned.seen"]
    assert 0 < (seen < 10).sum() < len(seen)
    assert len(seen[seen < 10].unique()) > 1
    lines = (tmp_path / "metrics.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 2
    assert not torch.equal(tensors["student.model.head.weight"], tensors["averaged.model.head.weight"])


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path):
    torch.set_num_threads(1)
    with pytest.raises(Stopped):
        train(job("supervised"), tmp_path, stop=stop_after(ODD))
    with pytest.raises(Exception, match="do not fit"):
        Engine(job("supervised", "wrn_10_1"), tmp_path).train()
