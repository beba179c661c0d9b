"""Where in a file the weights of a network are: containers in containers and prefixes of any name, drawn."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sslkit.errors import UserError
from sslkit.weights import load_weights
from tests.weights.make import backbone, vit

WORDS = ["visual", "encoder_q", "shadow", "checkpoint", "online", "0", "params_ema", "net2", "my net", "_fsdp_wrapped"]
Tensors = dict[str, Tensor]


def weights(seed: int) -> Tensors:
    """Of the network as other programs name them."""
    return {name.removeprefix("model."): tensor for name, tensor in vit(seed=seed).state_dict().items()}


def placed(content: dict[str, Any], at: list[str], flat: int, tensors: Tensors) -> None:
    """Put tensors into a file, in containers; the last `flat` words of their place before their names."""
    inner = content
    for word in at[: len(at) - flat]:
        inner = inner.setdefault(word, {})
    before = "".join(f"{word}." for word in at[len(at) - flat :])
    inner |= {f"{before}{name}": tensor for name, tensor in tensors.items()}


def beside(draw: random.Random) -> dict[str, Any]:
    """What else such files hold."""
    more: dict[str, Any] = {
        "epoch": 3,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]},
        "queue": torch.ones(8, 4),
        "scaler": {"scale": torch.ones(1)},
        "loss.center": torch.ones(1, 4),
    }
    return {name: more[name] for name in draw.sample([*more], draw.randint(0, len(more)))}


def holds(network: torch.nn.Module, tensors: Tensors) -> bool:
    own = network.state_dict()
    return all(torch.equal(own[f"model.{name}"], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("seed", range(16))
def test_the_only_set_is_found_wherever_it_is(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    at = draw.sample(WORDS, draw.randint(1, 3))
    content, tensors = beside(draw), weights(7)
    placed(content, at, draw.randint(0, len(at)), tensors)
    torch.save(content, tmp_path / "w.pth")
    network = vit()
    loaded = load_weights(network, tmp_path / "w.pth")
    assert holds(network, tensors)
    assert not loaded.missing
    assert any(".".join(at) in remark and "is taken" in remark for remark in loaded.remarks)
    for which in (".".join(at), at[0]):
        network = vit()
        load_weights(network, tmp_path / "w.pth", which)
        assert holds(network, tensors)


@pytest.mark.parametrize("seed", range(8))
def test_several_sets_are_a_question(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    first, second = draw.sample(WORDS, 2)
    common, flat = draw.sample(["module", "state", "a"], draw.randint(0, 1)), draw.randint(0, 1)
    content, one, two = beside(draw), weights(7), weights(8)
    placed(content, [*common, first], flat, one)
    placed(content, [*common, second], flat, {name: t for name, t in two.items() if not name.startswith("head")})
    torch.save(content, tmp_path / "w.pth")
    network = vit()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    names = [".".join([*common, word]) for word in (first, second)]
    with pytest.raises(UserError, match="has several sets of the network's weights") as caught:
        load_weights(network, tmp_path / "w.pth")
    assert all(name in str(caught.value) for name in names)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    load_weights(network, tmp_path / "w.pth", names[1])
    assert holds(network, {name: t for name, t in two.items() if not name.startswith("head")})


@pytest.mark.parametrize("name", ["vit", "resnet18"])
def test_a_file_of_a_deeper_network_is_refused(name: str, tmp_path: Path) -> None:
    """Of which the first blocks would be loaded, and the others left out."""
    network = vit() if name == "vit" else backbone("resnet18", 64)
    tensors = {n.removeprefix("model."): t.clone() for n, t in network.state_dict().items()}
    last = "blocks.1." if name == "vit" else "layer3.1."
    deeper = tensors | {n.replace("1.", "2.", 1): t for n, t in tensors.items() if n.startswith(last)}
    torch.save(deeper, tmp_path / "w.pth")
    with pytest.raises(UserError, match=f"is of a deeper network: it has {len(deeper) - len(tensors)} tensors more"):
        load_weights(network, tmp_path / "w.pth")
    loaded = load_weights(network, tmp_path / "w.pth", partial=True)
    assert len(loaded.unexpected) == len(deeper) - len(tensors)
