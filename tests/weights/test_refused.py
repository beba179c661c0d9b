"""Files that are not loaded: one line, and the network as it was."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from .make import DIM, backbone, classifier, mae_encoder, refused, saved, vit


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


class Harmless:
    pass


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("hidden", [lambda evil: evil, lambda evil: Namespace(x=evil), lambda evil: {"a": [evil]}])
def test_code_in_a_file_is_not_run(hidden: Any, legacy: bool, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    content = {"model": mae_encoder(), "args": hidden(Evil(mark))}
    torch.save(content, tmp_path / "evil.pth", _use_new_zipfile_serialization=not legacy)
    line = refused(vit(), tmp_path / "evil.pth", "system")
    assert "state_dict" in line
    assert not mark.exists()
    torch.load(tmp_path / "evil.pth", weights_only=False)
    assert mark.exists(), "the file would have run its command"


def test_other_classes_than_namespace_are_named(tmp_path: Path) -> None:
    refused(vit(), saved(tmp_path, {"model": mae_encoder(), "args": Harmless()}), "Harmless")
    refused(vit(), saved(tmp_path, vit()), "which may run code")


def test_namespace_stays_refused_elsewhere(tmp_path: Path) -> None:
    path = saved(tmp_path, {"args": Namespace(lr=1)})
    refused(vit(), path, "holds no weights")
    with pytest.raises(Exception, match="Namespace"):
        torch.load(path, weights_only=True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("end", [".pth", ".safetensors"])
def test_truncated_files(end: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / f"cut{end}"
    (save_file if end == ".safetensors" else torch.save)(mae_encoder(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    refused(vit(), path, "is damaged, or no file of weights")


@pytest.mark.parametrize("end", [".pth", ".bin", ".safetensors"])
def test_files_of_something_else(end: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{end}"
    path.write_text("<!DOCTYPE html>\n<html>not found</html>\n")
    refused(vit(), path, "is damaged, or no file of weights")


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    refused(vit(), tmp_path / "gone.pth", "no file")
    (tmp_path / "folder.pth").mkdir()
    refused(vit(), tmp_path / "folder.pth", "no file")
    refused(vit(), tmp_path / "weights.onnx", r"\.safetensors, \.pth")


@pytest.mark.parametrize(
    "content",
    [{}, [torch.ones(2)], torch.ones(2), {"epoch": 3}, {"model": {}}, {"model": 3}, {"model": {"a": None}}],
)
def test_files_without_weights(content: Any, tmp_path: Path) -> None:
    refused(vit(), saved(tmp_path, content), "holds no weights")


def test_another_architecture_names_the_nearest_of_both_sides(tmp_path: Path) -> None:
    resnet, wide = backbone("resnet18", 96), backbone("wrn_10_1", 16)
    line = refused(vit(), saved(tmp_path, resnet.model.state_dict()), "0% of the network's values")
    assert "of another architecture; nearest are the network's " in line
    assert line.rpartition("the file's ")[2] in resnet.model.state_dict()
    refused(resnet, saved(tmp_path, {"model": mae_encoder()}), "of another architecture")
    refused(wide, saved(tmp_path, resnet.model.state_dict()), "of another architecture")


def test_less_than_half_is_refused(tmp_path: Path) -> None:
    """One of two blocks, without the embeddings."""
    part = {n: t for n, t in mae_encoder().items() if n.startswith("blocks.0")}
    refused(vit(), saved(tmp_path, part), r"has 4\d% of the network's values")


def test_another_width_names_the_first_misfit(tmp_path: Path) -> None:
    line = refused(vit(), saved(tmp_path, mae_encoder(dim=DIM + 8)), r"cls_token of .* is \(1, 1, 24\) float32")
    assert "the network's (1, 1, 16) float32" in line


def test_stem_of_larger_images_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = saved(tmp_path, backbone("resnet18", 96).state_dict())
    refused(backbone("resnet18", 32), path, r"conv1\.weight of .* \(64, 3, 7, 7\) .* \(64, 3, 3, 3\).*--size")


@pytest.mark.parametrize("rows", [0, 3, 15, 18])
def test_positions_that_are_no_square_grid(rows: int, tmp_path: Path) -> None:
    tensors = mae_encoder() | {"pos_embed": torch.zeros(1, rows, DIM)}
    refused(vit(), saved(tmp_path, tensors), "pos_embed")


def test_values_of_other_kinds(tmp_path: Path) -> None:
    tensors = mae_encoder()
    weight = tensors["blocks.1.attn.proj.weight"]
    for odd in (weight.to(torch.int8), weight.to(torch.complex64)):
        refused(vit(), saved(tmp_path, tensors | {"blocks.1.attn.proj.weight": odd}), r"blocks\.1\.attn\.proj\.weight")
    for bad in (float("nan"), float("inf")):
        odd = weight.clone()
        odd[1, 2] = bad
        refused(vit(), saved(tmp_path, tensors | {"blocks.1.attn.proj.weight": odd}), "is not finite")


@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_tensors_without_their_values_are_no_weights(tmp_path: Path) -> None:
    """Sparse ones, and a billion values that are one number."""
    name = "blocks.1.attn.proj.weight"
    for odd in (torch.eye(DIM).to_sparse(), torch.zeros(1).expand(DIM, DIM)):
        tensors = {"a": torch.zeros(2), name: odd}
        refused(vit(), saved(tmp_path, tensors), "0% of the network's values.*the file's a$")
    refused(vit(), saved(tmp_path, {"pos_embed": torch.zeros(1).expand(1, 10**10, DIM)}), "holds no weights")


def test_two_tensors_of_one_name(tmp_path: Path) -> None:
    tensors = mae_encoder() | {"module.cls_token": torch.zeros(1, 1, DIM)}
    refused(vit(), saved(tmp_path, tensors), r"two tensors for model\.cls_token")


def test_a_set_of_weights_that_is_not_there(tmp_path: Path) -> None:
    refused(vit(), saved(tmp_path, {"model": classifier()}), "'teacher'; known are model", "teacher")
    refused(vit(), saved(tmp_path, classifier()), "holds one set of weights, unnamed", "teacher")


def test_names_of_the_file_are_shown_on_one_line(tmp_path: Path) -> None:
    line = refused(vit(), saved(tmp_path, {"x\n\x1b[31m" + "y" * 9999: torch.zeros(2)}), "architecture")
    assert len(line) < 500
