"""Heads by class name, and sets of weights by the name of their container."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sslkit.weights import load_weights

from .make import CLASSES, classifier, holds, saved, state, vit


@pytest.mark.parametrize("beside", ["stage", "export"])
@pytest.mark.parametrize("seed", range(6))
def test_rows_of_a_head_go_by_class_name(beside: str, seed: int, tmp_path: Path) -> None:
    """Any order, some classes gone, some new: drawn; the answer is told from the names alone."""
    draw = random.Random(seed)
    names = ["cat", "dog", "Katze", "été", "a b", "10", "2", "x/y"]
    theirs, ours = (draw.sample(names, draw.randint(2, len(names))) for _ in range(2))
    tensors = {n.removeprefix("model."): t for n, t in vit(classes=len(theirs), seed=1).state_dict().items()}
    tensors["head.bias"] = torch.arange(1.0, len(theirs) + 1)  # tells rows apart
    name, about, content = {
        "stage": ("weights.safetensors", "spec.json", {"data": {"classes": theirs}}),
        "export": ("model.safetensors", "config.json", {"label_names": theirs}),
    }[beside]
    save_file(tensors, tmp_path / name)
    (tmp_path / about).write_text(json.dumps(content))
    network, start = vit(classes=len(ours)), state(vit(classes=len(ours)))
    loaded = load_weights(network, tmp_path / name, classes=ours)
    head = network.model.head
    for i, one in enumerate(ours):
        if one in theirs:
            assert head.bias[i] == theirs.index(one) + 1
            assert head.weight[i].equal(tensors["head.weight"][theirs.index(one)])
        else:
            assert head.weight[i].equal(start["model.head.weight"][i])
    new = [one for one in ours if one not in theirs]
    said = " ".join(loaded.remarks)
    assert (said == "") == (theirs == ours)
    assert not new or "anew" in said
    assert len(new) in (0, len(ours)) or repr(new[0]) in said


def test_an_order_of_classes_that_nobody_knows_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path, classifier(classes=CLASSES))
    network = vit()
    loaded = load_weights(network, path, classes=[*"abcdefg"])
    holds(network, torch.load(path, weights_only=True))
    assert loaded.remarks == ["the file does not name the 7 classes of its head: its rows are taken in their order"]


@pytest.mark.parametrize("name", ["ema", "state_dict_ema", "net", "model_state", "my own"])
@pytest.mark.parametrize("flat", [False, True])
def test_a_container_of_any_name(name: str, flat: bool, tmp_path: Path) -> None:
    tensors = classifier(classes=CLASSES)
    content = {f"{name}.{n}": t for n, t in tensors.items()} if flat else {name: tensors, "epoch": 3}
    network = vit()
    path = saved(tmp_path, content)
    load_weights(network, path, name)
    holds(network, tensors)
