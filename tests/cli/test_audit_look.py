"""What the audit sees of an image: probabilities as `predict` has them, and the features that they come from."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sslkit.finished import load
from sslkit.finished.audit import look
from tests.cli.conftest import Finished


def test_one_forward_gives_both(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor, forwards = load(finished.folder), list[int]()
    predictor.network.register_forward_hook(lambda *_: forwards.append(1))
    pixels = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8)
    p = look(predictor, pixels).p
    assert len(forwards) == 1
    assert np.allclose(p, predictor.probabilities(pixels), atol=1e-6)
    monkeypatch.setattr(type(predictor.algorithm), "predict", lambda self, network, x: -network(x).logits)
    assert np.allclose(look(predictor, pixels).p, (1 / p) / (1 / p).sum(1, keepdims=True), atol=1e-6)
