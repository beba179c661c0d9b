"""Heads that an algorithm adds: they start as the network's own, are averaged and stored, and one may classify."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from sslkit.augment.render import normalise
from sslkit.finished import load
from sslkit.finished.merging import merged
from sslkit.network import Classifier, Shape
from sslkit.training.engine import Engine
from sslkit.training.evaluation import encode, logits
from sslkit.training.log import Log
from tests.algorithms.make import SMALL, Small, job
from tests.algorithms.test_algorithms import Unread
from tests.cli.call import folder_of, run


def balanced(network: Classifier) -> nn.Linear:
    return cast("nn.Linear", network.added["balanced"])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sslkit.backbones.vit_micro.ViTMicro.width", Small.width)
    monkeypatch.chdir(tmp_path)


def test_an_added_head_starts_as_the_own_one_and_is_averaged_like_it(tmp_path: Path) -> None:
    made = job({**SMALL, "algo": "abc", "semi.steps": 2})
    student, averaged = made.algorithm.student, made.average.network
    assert torch.equal(balanced(student).weight, student.classifier().weight)
    start = balanced(student).weight.detach().clone()
    engine = Engine(made, tmp_path)
    made.algorithm.train()
    engine.step(0, cast("Log", Unread()))
    moved, mean = balanced(student).weight, balanced(averaged).weight
    assert not torch.equal(moved, start)
    assert moved.data_ptr() != student.classifier().weight.data_ptr()
    torch.testing.assert_close(mean, 0.8 * start + 0.2 * moved)  # eval.decay of SMALL


def test_the_head_that_decides_is_stored_evaluated_and_exported() -> None:
    call = run("--algo", "abc", "--set", "labeler.tau=0", "--set", "algo.tau=0", "--json")
    assert call.code == 0, call.err
    predictor = load(folder_of(call, Path("runs")))
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    network, spec = predictor.network, predictor.spec
    head, own = balanced(network), network.classifier()
    assert not torch.equal(head.weight, own.weight)
    mean, std = (torch.tensor(spec.data[name]) for name in ("mean", "std"))
    features = network(normalise(pixels, mean, std)).features
    expected = linear(features, head.weight, head.bias).log_softmax(1)
    torch.testing.assert_close(predictor.probabilities(pixels).log(), expected, atol=1e-5, rtol=1e-5)
    alone = merged(predictor, whole=True).network
    torch.testing.assert_close(alone(normalise(pixels, mean, std)).logits.log_softmax(1), expected)
    again = run("--weights", folder_of(call, Path("runs")), "--stages", "finetune")
    assert again.code == 0, again.err


def test_a_classifier_among_added_heads_is_not_the_networks_own() -> None:
    network = Small(Shape(8, 5))
    own = network.classifier()
    network.added = nn.ModuleDict({"head": nn.Linear(32, 5)})
    assert network.classifier() is own


def test_encode_gives_logits_and_features_by_the_index_of_the_stream(tmp_path: Path) -> None:
    made = job({**SMALL, "algo": "fixmatch"})
    network = made.average.network
    for stream in ("labeled", "unlabeled"):
        found = Engine(made, tmp_path).encode(network, stream)
        torch.testing.assert_close(found.logits, logits(made.algorithm, network, made.pixels[stream], made.spec))
        torch.testing.assert_close(linear(found.features, *network.classifier().parameters()), found.logits)
        some = encode(network, made.pixels[stream][:3], made.spec)
        torch.testing.assert_close(some.features, found.features[:3])
        given = made.loader.batch(0, 0)[stream]
        assert int(given.index.max()) < len(found.features)
