"""Which test images are taken for no class of the labels: the rule of each method, by loops, and its score."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from tests.algorithms.open_set import detected
from tests.algorithms.tiny import DIM, drawn, made_of, softmax


@pytest.mark.parametrize("name", ["openmatch", "iomatch"])
def test_openmatch_and_iomatch_reject(name: str) -> None:
    """By the likeliest class's detector, or by the head of C + 1 classes; scores are -logit o and s."""
    made = made_of(name, 3)
    x, net = drawn(name, 2, 40, 3)["unlabeled"]["weak"], made.student
    with torch.no_grad():
        net.added["ova"].pairs.weight.mul_(4)
        score, guess = made.open_set(net, x)
        out = net(x)
        for i in range(40):
            p = softmax(out.logits[i])
            if name == "openmatch":
                c = int(p.argmax())
                o = detected(net.added["ova"], out.features[i])[c].item()
                wanted, best = math.log((1 - o) / o), c if o > 0.5 else 3
            else:
                f = net.added["projector"](out.features[i : i + 1])
                o_c = detected(net.added["ova"], f[0])
                wanted = sum(p[c].item() * (1 - o_c[c].item()) for c in range(3))
                best = int(net.added["open"](f).argmax())
            assert score[i].item() == pytest.approx(wanted)
            assert guess[i].item() == best
    assert 3 in guess.tolist()
    assert {*guess.tolist()} > {3}


@pytest.mark.parametrize("name", ["ssb", "prosub"])
def test_ssb_and_prosub_reject(name: str) -> None:
    made = made_of(name, 3)
    x = drawn(name, 2, 40, 3)["unlabeled"]["weak"]
    net = made.student
    with torch.no_grad():
        score, guess = made.open_set(net, x)
        best = made.predict(net, x).argmax(1)
        if name == "ssb":
            o = net.added["ova"](net(x).features).sigmoid()
            refused = [o[i, c].item() <= 0.5 for i, c in enumerate(best.tolist())]
            expected = [-o[i, c].logit().item() for i, c in enumerate(best.tolist())]
        else:
            made.laws.copy_(torch.tensor([[5.0, 2.0], [2.0, 4.0]]))
            made.basis.copy_(torch.randn(3, DIM))
            score, guess = made.open_set(net, x)
            s = made.along(net(x).features).numpy()
            refused = (stats.beta.pdf(s, 5, 2) < stats.beta.pdf(s, 2, 4)).tolist()
            expected = (-s).tolist()
    assert score.tolist() == pytest.approx(expected)
    assert guess.tolist() == [3 if out else c for out, c in zip(refused, best.tolist(), strict=True)]
    assert len({*refused}) == 2
