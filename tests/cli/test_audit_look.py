"""What the audit sees of an image: probabilities as `predict` has them, and the features that they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sslkit.data.image import Array
from sslkit.finished import load, prepared_data, seen
from sslkit.finished.seen import look
from sslkit.training.features import Features
from tests.cli.call import folder_of, run, sslkit
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


def test_a_method_on_frozen_features_is_audited_by_what_is_kept(untimed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run("--algo", "linear", "--stages", "semi", "--json")
    assert made.code == 0, made.err
    folder, asked = folder_of(made, Path("runs")), list[int]()
    compute = Features._compute

    def counted(find: Features, index: Array, names: Array, known: int) -> None:
        asked.append(len(index))
        compute(find, index, names, known)

    monkeypatch.setattr(Features, "_compute", counted)
    monkeypatch.setattr(seen, "look", None)
    assert sslkit("audit", folder, "--out", "out").code == 0
    predictor = load(folder)
    prepared = prepared_data(folder, predictor.spec)
    pool = np.setdiff1d(prepared.split.pool, prepared.split.labeled)
    assert sum(asked) == len(pool), "those of labelled and test images are of the run"
    assert len([*Path("runs/features").glob("[!.]*")]) == 1
    kept = seen.seen_by(predictor, prepared.images, Path("runs/features"), pool)
    assert sum(asked) == len(pool)
    plain = look(predictor, prepared.images.subset(pool))
    assert np.allclose(kept.features, plain.features, atol=1e-5)
    assert np.allclose(kept.p, plain.p, atol=1e-5)
