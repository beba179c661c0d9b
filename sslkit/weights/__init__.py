"""Weights of other programs into a `Classifier`, and weights of ours for timm.

A *container* is a name that a file keeps a set of weights under (`model`, `teacher`); a *prefix* is what a wrapper puts
before the names of its network (`module.`).

No code of a file is ever run.
"""

from __future__ import annotations

import argparse
import json
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import torch
from rich import box
from rich.table import Table
from rich.text import Text
from safetensors.torch import load_file
from torch import Tensor

from sslkit.errors import UserError, one_line, unknown
from sslkit.network import HEADS, Classifier
from sslkit.store import checkpoint
from sslkit.store.files import filling, new_folder, write_text
from sslkit.weights.fitting import reshaped, rows_of_no_patch

PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".tar")
CONTAINERS = ("state_dict", "model_state_dict", "model", "teacher", "averaged", "student", "model_ema")  # in this order
PREFIXES = ("module", "_orig_mod", "backbone", "encoder", "model")
HEAD = re.compile(rf"(head\.)?({'|'.join(HEADS)})\.(weight|bias)")
UNUSED = re.compile(r"mask_token|decoder_.*|norm\.(weight|bias)")  # MAE's decoder; the norm that mean pooling replaces
Sorted = tuple[dict[str, Tensor], list[str], list[str]]
ROWS = {
    "loaded": "loaded",
    "resampled": "of these, resampled",
    "missing": "not in the file, as they start",
    "unexpected": "not in the network, unused",
    "ignored": "decoder, other norm or part: ignored",
}


@dataclass(frozen=True)
class Loaded:
    """What `load_weights` did. `loaded`, `missing` and `resampled` are the network's names, the others the file's."""

    path: Path
    loaded: list[str]
    missing: list[str]
    unexpected: list[str]
    resampled: list[str]  # these are loaded, too
    ignored: list[str]  # a decoder, a norm that is not used, what is beside the container
    remarks: list[str]

    def table(self, license: str = "") -> Table:
        """A row for each kind of names that there is, and one for the licence; the remarks stand beneath."""
        table = Table(title=Text(f"weights of {self.path}"), title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("", "tensors", "names"):
            table.add_column(name, justify="right" if name == "tensors" else "left", overflow="fold")
        for kind, title in ROWS.items():
            names = getattr(self, kind)
            if names:
                rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
                table.add_row(title, str(len(names)), Text(", ".join(map(_shown, names[:4])) + rest))
        if license:
            table.add_row("licence of the weights", "", Text(license))
        if self.remarks:
            table.caption, table.caption_justify = Text("\n".join(self.remarks)), "left"
        return table


def load_weights(network: Classifier, path: str | Path, which: str | None = None) -> Loaded:
    """Put the weights of a file into `network`; it is not changed where this raises.

    Names are matched without prefixes, and as `Classifier.own_name` knows them. A position embedding of another grid is
    resampled (bicubic, rows of no patch kept), and so is a patch projection (FlexiViT, Beyer et al. 2023,
    arXiv:2212.08013). A head of another number of classes stays as it starts.

    Args:
        which: the container to take; None is the first that there is of `CONTAINERS`.

    Raises:
        UserError: the file is missing or damaged, holds other objects than tensors, an unknown `which`, weights that
            are not finite or not of the network's shapes, or less than half of the network's values.
    """
    path, own = Path(path), network.state_dict()
    roots = {name.partition(".")[0] for name in own}
    tensors, ignored, remarks = _select(_read(path), which, roots, path)
    found, unexpected, skipped = _match(tensors, own, network.own_name, path)
    kept = {name for name, tensor in found.items() if _is_other_head(name, tensor, own[name])}
    _check_share(found, unexpected, own, path)
    rows = rows_of_no_patch(network)
    fitted = {name: _fit(name, tensor, own[name], rows, path) for name, tensor in found.items() if name not in kept}
    heads = {(len(found[name]), len(own[name])) for name in kept}
    remarks += [
        f"the file's head is of {theirs} classes, the network's of {ours}: it starts anew" for theirs, ours in heads
    ]
    network.load_state_dict(fitted, strict=False)
    return Loaded(
        path,
        loaded=list(fitted),
        missing=[name for name in own if name not in fitted],
        unexpected=unexpected,
        resampled=[name for name in fitted if found[name].shape != own[name].shape],
        ignored=[*ignored, *skipped],
        remarks=remarks,
    )


def _read(path: Path) -> Any:
    """What the file holds, without running code of it."""
    known = (".safetensors", *PICKLED)
    if path.suffix.lower() not in known:
        raise UserError(f"{path} is no file of weights that can be read: {', '.join(known)}")
    if not path.is_file():
        raise UserError(f"no file {str(path)!r}")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is anything
        named = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if named:
            raise UserError(
                f"{path} holds an object of Python, {_shown(named[1])}, which may run code and is not read; "
                "save the network's state_dict alone"
            ) from None
        raise UserError(f"{path} is damaged, or no file of weights ({_shown(one_line(error))})") from None


def _select(content: Any, which: str | None, roots: set[str], path: Path) -> Sorted:
    """Tensors of one container, names of those beside it, and remarks."""
    content = content if isinstance(content, Mapping) else {}
    seen: list[str] = []
    beside: list[str] = []
    remarks: list[str] = []
    for groups in (_nested, _prefixed):
        found = groups(content, roots)
        if found:
            name = which if which in found else next(iter(found))
            if len(found) > 1:
                remarks.append(f"{name!r} is taken of {', '.join(found)}")
            whole = tuple(f"{container}." for container in found)
            beside += [n for n in _plain(content) if not n.startswith(whole)]
            content = found[name]
            seen += found
    if which is not None and which not in seen:
        raise unknown("set of weights", which, seen) if seen else UserError(f"{path} holds one set of weights, unnamed")
    tensors = _plain(content)
    if not tensors:
        raise UserError(f"{path} holds no weights; known containers are {', '.join(CONTAINERS)}")
    return tensors, beside, remarks


def _nested(content: Mapping[Any, Any], roots: set[str]) -> dict[str, Mapping[Any, Any]]:
    return {c: content[c] for c in CONTAINERS if isinstance(content.get(c), Mapping)}


def _prefixed(content: Mapping[Any, Any], roots: set[str]) -> dict[str, Mapping[Any, Any]]:
    """Containers in flat names, as in `teacher.backbone.norm.weight`, unless they are names of the network's own."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in _plain(content).items():
        container, _, rest = name.partition(".")
        if container in CONTAINERS and rest:
            found.setdefault(container, {})[rest] = tensor
    return {c: found[c] for c in CONTAINERS if c in found} if not found.keys() <= roots else {}


def _plain(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The named, dense tensors with all their values."""

    def whole(value: Any) -> bool:
        dense = isinstance(value, Tensor) and value.layout is torch.strided
        return dense and not (value.is_meta or value.is_quantized) and value.untyped_storage().nbytes() >= value.nbytes

    return {name: value for name, value in content.items() if isinstance(name, str) and whole(value)}


def _match(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], own_name: Callable[[str], str], path: Path
) -> Sorted:
    """The file's tensors by the network's names, and the file's names that are unexpected and that are ignored.

    Args:
        own_name: `Classifier.own_name`, for names that are not the network's.
    """
    names = {bare(name): name for name in own} | {name: name for name in own}
    found: dict[str, Tensor] = {}
    unexpected: list[str] = []
    ignored: list[str] = []
    for name, tensor in tensors.items():
        ends = [*_endings(name)]
        target = next((names[end] for end in [*ends, *map(own_name, ends)] if end in names), None)
        if target in found:
            raise UserError(f"{path} has two tensors for {target}, one of them {_shown(name)}")
        if target is not None:
            found[target] = tensor
        else:
            (ignored if UNUSED.fullmatch(bare(name)) else unexpected).append(name)
    return found, unexpected, ignored


def _endings(name: str) -> Iterable[str]:
    """The name, and what is left of it as prefixes are taken off."""
    yield name
    while name.partition(".")[0] in PREFIXES and "." in name:
        name = name.partition(".")[2]
        yield name


def bare(name: str) -> str:
    """A parameter's name without what wrappers put before it."""
    return list(_endings(name))[-1]


def _is_other_head(name: str, tensor: Tensor, like: Tensor) -> bool:
    of_head = HEAD.fullmatch(bare(name)) and tensor.ndim == like.ndim
    return bool(of_head) and len(tensor) != len(like) and tensor.shape[1:] == like.shape[1:]


def _check_share(found: Mapping[str, Tensor], unexpected: list[str], own: Mapping[str, Tensor], path: Path) -> None:
    """Raise where the file has names for less than half of the network's values, the head aside."""
    sizes = {name: tensor.numel() for name, tensor in own.items() if not HEAD.fullmatch(bare(name))}
    share = sum(size for name, size in sizes.items() if name in found) / max(1, sum(sizes.values()))
    if share < 0.5:
        lacking = [bare(name) for name in sizes if name not in found][:5]
        pairs = [(SequenceMatcher(None, a, b).ratio(), a, b) for a in lacking for b in unexpected[:200]]
        near = f"; nearest are the network's {max(pairs)[1]} and the file's {_shown(max(pairs)[2])}" if pairs else ""
        raise UserError(f"{path} has {share:.0%} of the network's values: it is of another architecture{near}")


def _fit(name: str, tensor: Tensor, like: Tensor, rows: int | None, path: Path) -> Tensor:
    """The tensor in the network's shape and type, on the CPU."""
    fits = tensor.is_floating_point() == like.is_floating_point()
    made = reshaped(name, tensor, like, rows) if fits else None
    if made is None:
        theirs, ours = (f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (tensor, like))
        hint = "; stems follow --size" if like.ndim == 4 else ""
        raise UserError(f"{bare(name)} of {path} is {theirs}, the network's {ours}{hint}")
    made = made.to(like.dtype)
    if not bool(made.isfinite().all()):
        raise UserError(f"{bare(name)} of {path} is not finite")
    return made


def _shown(name: str) -> str:
    """A foreign name on one line of bounded length."""
    clean = "".join(c if c.isprintable() else "?" for c in name)
    return clean if len(clean) <= 100 else clean[:99] + "…"


def export(
    network: Classifier,
    folder: str | Path,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    crop: float = 1.0,
    interpolation: str = "bicubic",
) -> None:
    """Write `model.safetensors` with timm's names and `config.json` as timm has it on the Hugging Face hub.

    `timm.create_model("local-dir:FOLDER", pretrained=True)` then gives the same network, and so does its
    `architecture` with `model_args`, `num_classes` and `checkpoint_path`.

    Raises:
        UserError: the network is not one that timm can make, or the folder is not empty or cannot be written.
    """
    folder, describe = Path(folder), getattr(network, "hub_config", None)
    new_folder(folder)
    if describe is None:
        raise UserError(f"timm has no {type(network).__name__}, so that it cannot read its weights")
    config = describe(list(classes), mean, std, size, crop, interpolation)
    with filling(folder) as temporary:
        checkpoint.save(temporary / "model.safetensors", network.get_submodule("model").state_dict(), config)
        write_text(temporary / "config.json", json.dumps(config, indent=2) + "\n")
