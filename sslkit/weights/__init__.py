"""Weights of other programs into a `Classifier`, and weights of ours for timm.

A *container* is a name that a file keeps a set of weights under (`model`, `teacher`); a *prefix* is what a wrapper puts
before the names of its network (`module.`).

No code of a file is ever run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text
from torch import Tensor

from sslkit.errors import UserError, listed
from sslkit.network import Classifier
from sslkit.store import checkpoint
from sslkit.store.files import filling, new_folder, write_text
from sslkit.weights.fitting import Places, places_of, reshaped
from sslkit.weights.heads import by_name, classes_of, sentence
from sslkit.weights.matching import HEAD, bare, check_no_deeper, check_share, check_whole, choose, match
from sslkit.weights.reading import read, shown

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

    def sentence(self) -> str:
        """How many tensors there are of each kind of names, and the remarks."""
        kinds = {title: getattr(self, kind) for kind, title in ROWS.items()}
        told = [f"{len(names)} {title} ({listed([*map(shown, names)])})" for title, names in kinds.items() if names]
        return "; ".join([f"weights of {self.path}: {', '.join(told)}", *self.remarks])

    def table(self, license: str = "") -> Table:
        """A row for each kind of names that there is, and one for the licence; the remarks stand beneath."""
        table = Table(title=Text(f"weights of {self.path}"), title_justify="left", box=box.SIMPLE_HEAD)
        for name in ("", "tensors", "names"):
            table.add_column(name, justify="right" if name == "tensors" else "left", overflow="fold")
        for kind, title in ROWS.items():
            names = getattr(self, kind)
            if names:
                table.add_row(title, str(len(names)), Text(listed([*map(shown, names)])))
        if license:
            table.add_row("licence of the weights", "", Text(license))
        if self.remarks:
            table.caption, table.caption_justify = Text("\n".join(self.remarks)), "left"
        return table


def load_weights(
    network: Classifier,
    path: str | Path,
    which: str | None = None,
    *,
    classes: Sequence[str] = (),
    partial: bool = False,
) -> Loaded:
    """Put the weights of a file into `network`; it is not changed where this raises.

    Names are matched without prefixes, and as `Classifier.own_name` knows them. A position embedding of another grid is
    resampled (bicubic, rows of no patch kept), and so is a patch projection (FlexiViT, Beyer et al. 2023,
    arXiv:2212.08013). Where the file's classes are known (`heads.classes_of`), rows of the head go by class name; else
    a head of another number of classes stays as it starts.

    Args:
        which: the container to take, or what stands before the names of its weights; None is the first that there is of
            `CONTAINERS`, else the only one that has the network's names.
        classes: of the network's head, in its order; without them rows are taken in the file's order.
        partial: what the file lacks of the network stays as it starts. Else nothing may be lacking but a head, and the
            norm after pooling where the file pools otherwise; and the file may have no further blocks.

    Raises:
        UserError: the file is missing or damaged, holds other objects than tensors, an unknown `which`, weights that
            are not finite or not of the network's shapes, or not all of the network, or with `partial` less than half.
    """
    path, own = Path(path), network.state_dict()
    tensors, ignored, remarks = choose(read(path), which, own, network.own_name, path)
    found, unexpected, skipped = match(tensors, own, network.own_name, path)
    check_share(found, unexpected, own, path)
    if not partial:
        check_whole(found, own, path)
        check_no_deeper([name for name in tensors if name not in (*unexpected, *skipped)], unexpected, path)
    heads = {name: found.pop(name) for name in [*found] if _is_head(name, found[name], own[name])}
    places = places_of(network, found, path)
    fitted = {name: _fit(name, tensor, own[name], places, path) for name, tensor in found.items()}
    given, said = _fit_heads(heads, own, classes_of(path), classes, path)
    fitted, remarks = fitted | given, remarks + said
    network.load_state_dict(fitted, strict=False)
    return Loaded(
        path,
        loaded=list(fitted),
        missing=[name for name in own if name not in fitted],
        unexpected=unexpected,
        resampled=[name for name in found if found[name].shape != own[name].shape or _moved(name, found, fitted)],
        ignored=[*ignored, *skipped],
        remarks=remarks,
    )


def _moved(name: str, found: Mapping[str, Tensor], fitted: Mapping[str, Tensor]) -> bool:
    """Whether positions were resampled to as many: from a grid of another shape."""
    return name.endswith("pos_embed") and not found[name].to(fitted[name].dtype).equal(fitted[name])


def _is_head(name: str, tensor: Tensor, like: Tensor) -> bool:
    of_head = HEAD.fullmatch(bare(name)) and tensor.ndim == like.ndim
    return bool(of_head) and tensor.shape[1:] == like.shape[1:]


def _fit_heads(
    heads: Mapping[str, Tensor], own: Mapping[str, Tensor], theirs: Sequence[str], ours: Sequence[str], path: Path
) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors of a head in the network's order of classes, and what is said of them; none where it starts anew."""
    sizes = {(len(tensor), len(own[name])) for name, tensor in heads.items()}
    known = bool(ours) and sizes == {(len(theirs), len(ours))}
    if known and list(theirs) != list(ours):
        taken = heads if {*theirs} & {*ours} else {}
        fitted = {name: _fit(name, tensor, tensor.float(), None, path) for name, tensor in taken.items()}
        return {n: by_name(t, own[n], theirs, ours) for n, t in fitted.items()}, [sentence(theirs, ours)]
    said = [f"the file's head is of {a} classes, the network's of {b}: it starts anew" for a, b in sizes if a != b]
    if ours and heads and not known and not said:
        said = [f"the file does not name the {len(ours)} classes of its head: its rows are taken in their order"]
    same = {name: tensor for name, tensor in heads.items() if len(tensor) == len(own[name])}
    return {name: _fit(name, tensor, own[name], None, path) for name, tensor in same.items()}, said


def _fit(name: str, tensor: Tensor, like: Tensor, places: Places | None, path: Path) -> Tensor:
    """The tensor in the network's shape and type, on the CPU."""
    fits = tensor.is_floating_point() == like.is_floating_point()
    made = reshaped(name, tensor, like, places) if fits else None
    if made is None:
        theirs, ours = (f"{tuple(t.shape)} {str(t.dtype).removeprefix('torch.')}" for t in (tensor, like))
        hint = "; stems follow --size" if like.ndim == 4 else ""
        if bare(name) == "pos_embed" and tensor.ndim == like.ndim:
            hint = "; positions are resampled from a square grid of patches, or one that config.json names beside it"
        raise UserError(f"{bare(name)} of {path} is {theirs}, the network's {ours}{hint}")
    made = made.to(like.dtype)
    if not bool(made.isfinite().all()):
        raise UserError(f"{bare(name)} of {path} is not finite")
    return made


def export(
    network: Classifier,
    folder: str | Path,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    size: int,
    crop: float = 1.0,
    interpolation: str = "bicubic",
    more: Mapping[str, Any] = {},
) -> None:
    """Write `model.safetensors` with timm's names and `config.json` as timm has it on the Hugging Face hub.

    `timm.create_model("local-dir:FOLDER", pretrained=True)` then gives the same network, and so does its
    `architecture` with `model_args`, `num_classes` and `checkpoint_path`.

    Args:
        more: is added to `config.json`.

    Raises:
        UserError: the network is not one that timm can make, or the folder is not empty or cannot be written.
    """
    folder, describe = Path(folder), getattr(network, "hub_config", None)
    new_folder(folder)
    if describe is None:
        raise UserError(f"timm has no {type(network).__name__}, so that it cannot read its weights")
    config = describe(list(classes), mean, std, size, crop, interpolation) | more
    with filling(folder) as temporary:
        checkpoint.save(temporary / "model.safetensors", network.get_submodule("model").state_dict(), config)
        write_text(temporary / "config.json", json.dumps(config, indent=2) + "\n")
