"""Weights of a run in the formats of others: timm's folder, and the official MAE's checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sslkit import weights
from sslkit.errors import UserError
from sslkit.finished import load, stage_folders
from sslkit.finished.merging import merged
from sslkit.store import checkpoint
from sslkit.store.files import new_file, replacing


def export(run: Path, out: Path, form: str = "timm", network: str = "averaged") -> None:
    """Write weights of a finished run.

    Args:
        form: "timm", a network as a folder that timm reads; "mae", what the stage pretrain left, encoder and
            decoder, as one file under the official names (`model` in a .pth file, plain in a .safetensors file).
        network: of timm's folder, as in `sslkit.finished.predict.predict`.

    Raises:
        UserError: no such run, `out` is there, a network or adapter that timm lacks, a run without pre-training.
    """
    if form == "mae":
        _mae(run, out)
        return
    predictor = load(run, network)
    data, square = predictor.spec.data, predictor.square
    plain = merged(predictor, whole=True).network
    about = data["mean"], data["std"], square.size, square.crop, square.interpolation
    ours = square.tone.about()
    if predictor.thresholds is not None:
        ours |= {"multilabel": True, "thresholds": predictor.thresholds.tolist()}
    weights.export(plain, out, data["classes"], *about, more={"sslkit": ours} if ours else {})


def _mae(run: Path, out: Path) -> None:
    new_file(out)
    if out.suffix not in (".pth", ".safetensors"):
        raise UserError(f"--out {out}: the file of an MAE checkpoint ends in .pth or .safetensors")
    folders = stage_folders(run)
    if "pretrain" not in folders:
        raise UserError(f"{run} has no stage pretrain")
    tensors, _ = checkpoint.load(folders["pretrain"] / "weights.safetensors")
    named = mae_names(tensors)
    if out.suffix == ".pth":
        with replacing(out) as temporary:
            torch.save({"model": named}, temporary)
    else:
        checkpoint.save(out, named, {})


def mae_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Encoder and decoder of a stage `pretrain` under the names of facebookresearch/mae: without the untrained head."""
    named = {}
    for name, tensor in tensors.items():
        where, _, rest = name.partition(".")
        short = rest.removeprefix("model.") if where == "student" else rest
        if where in ("student", "algorithm") and not short.startswith(("head.", "fc_norm.")):
            named[short] = tensor.contiguous()
    return named
