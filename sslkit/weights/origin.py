"""Where weights come from, and how images were prepared for them: what the images of a run that starts from them need.

A file of weights alone tells nothing of it. Packages and timm's names do by timm's `pretrained_cfg`, a run by the
specification of its last stage, and a folder that `sslkit export` wrote by its config.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import Flat
from sslkit.config.resolve import options
from sslkit.config.starting import NOTHING
from sslkit.config.statistics import written
from sslkit.data.image import PLAIN, Tone
from sslkit.errors import UserError, one_line
from sslkit.network import Classifier
from sslkit.store import read_json, store_of
from sslkit.weights.packages import packaged

LARGEST, USUAL = 384, 224  # pixels; nobody wants larger images unasked: DINOv2's, for 518, get the usual ones


@dataclass(frozen=True)
class Origin:
    """Weights by name, and how images were prepared for them; None and "" is what is not known."""

    name: str
    license: str = ""
    stats: str | None = None  # mean and deviation as `data.stats` is written
    interpolation: str | None = None
    size: int | None = None  # side of the images, in pixels

    def defaults(self, large: bool) -> dict[str, Any]:
        """Values of configuration keys that suit the weights.

        Args:
            large: the images have at least as many pixels as photographs; smaller ones keep their own size.
        """
        size = (self.size if self.size <= LARGEST else USUAL) if large and self.size else None
        found = {"data.stats": self.stats, "data.interpolation": self.interpolation, "data.size": size}
        return {key: value for key, value in found.items() if value is not None}


def origin_of(weights: str | None, cls: type[Classifier], argument: Mapping[str, str], backbone: str) -> Origin | None:
    """What is known of the key `weights`; None where it names nothing.

    Args:
        cls: of the backbone that is called `backbone`; `argument` is what follows the colon in that name.

    Raises:
        UserError: timm has no weights of that name, no package is made for the backbone, or what is read is damaged.
    """
    if weights in NOTHING:
        return None
    assert weights is not None
    kind, _, name = weights.partition(":")
    if weights == "imagenet":
        return _of_package(cls, backbone)
    if kind == "timm":
        name = name or timm_name(cls, argument, backbone)
        return _of_config(f"timm:{name}", vars(timm_about(name)))
    path = at(weights)
    if (path / "run.json").is_file():
        return _of_run(path)
    return _of_file(path)


def tone_of(weights: str | None) -> Tone:
    """How levels of images were read for the key `weights`: for a run, or what `sslkit export` wrote of one.

    Raises:
        UserError: the run is damaged.
    """
    path = at(weights or "")
    about: Any = {}
    if weights not in NOTHING and (path / "run.json").is_file():
        about = _data_of(path)
    elif path.name == "model.safetensors":
        with suppress(OSError, ValueError, LookupError, TypeError):
            about = json.loads((path.parent / "config.json").read_text("utf-8"))["sslkit"]
    return Tone(about.get("white"), tuple(about.get("bands", ()))) if isinstance(about, Mapping) else PLAIN


def backbone_of(weights: str | None) -> Flat:
    """The keys of the backbone of a run that `weights` names: its name, and options that are not as ever; else none.

    Raises:
        UserError: the run is damaged.
    """
    path = Path(weights or "").expanduser()
    if weights in NOTHING or not (path / "run.json").is_file():
        return {}
    part = _spec_of(path)["parts"]["backbone"]
    with suppress(UserError):  # it is of a plug-in that is not loaded: its name says so later
        usual = options(registry.load("backbone", part["name"]))
        own = {k: value for k, value in part["options"].items() if k in usual and value != usual[k].default}
        return {"backbone.name": part["name"]} | {f"backbone.{k}": value for k, value in own.items()}
    return {"backbone.name": part["name"]}


def at(weights: str) -> Path:
    """The run or file that is named; of a folder as `sslkit export` and the hub have it its file."""
    path = Path(weights).expanduser()
    file = path / "model.safetensors"
    return file if file.is_file() and not (path / "run.json").is_file() else path


def timm_name(cls: type[Classifier], argument: Mapping[str, str], backbone: str) -> str:
    """The name of a backbone in timm.

    Raises:
        UserError: timm has no such network.
    """
    name = cls.timm_name(**argument)
    if not name:
        raise UserError(f"--weights timm: timm has no {backbone!r}; name one, as timm:vit_tiny_patch16_224, or a FILE")
    return name


def timm_about(name: str) -> Any:
    """timm's `PretrainedCfg` of NAME or NAME.TAG.

    Raises:
        UserError: timm has no such weights.
    """
    from timm.models import get_pretrained_cfg

    try:
        about = get_pretrained_cfg(name)
    except RuntimeError as error:
        raise UserError(f"--weights timm:{name}: {one_line(error)}") from None
    if about is None or not (about.file or about.hf_hub_id):
        raise UserError(f"--weights timm:{name}: timm has no weights of that name on the hub")
    return about


def _of_package(cls: type[Classifier], backbone: str) -> Origin:
    package = cls.weights_package()
    if not package:
        have = [e.name for e in registry.entries("backbone") if e.origin == "built in" and _has_package(e.name)]
        raise UserError(
            f"--weights imagenet: no package has weights of {backbone!r}; --backbone {' or '.join(have)}, "
            "or --weights timm, which needs a network"
        )
    with_version = f" {version(package)}" if packaged(cls) else ""
    return _of_config(f"imagenet, of the package {package}{with_version}", cls.package_config())


def _has_package(name: str) -> bool:
    return bool(registry.load("backbone", name).weights_package())


def _of_config(name: str, about: Mapping[str, Any]) -> Origin:
    """Of what timm calls a pretrained_cfg.

    Raises:
        UserError: its values are not of the kind that timm's are.
    """
    how = about.get("interpolation") or "bicubic"
    try:
        return Origin(
            name,
            license=str(about.get("license") or ""),
            stats=written(about["mean"], about["std"]),
            interpolation="bilinear" if how == "bilinear" else "bicubic",
            size=int(about["input_size"][-1]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{name} does not say how its images were prepared: {one_line(error)}") from None


def _of_run(run: Path) -> Origin:
    data = _data_of(run)
    return _of_config(f"the run {run.name}", data | {"input_size": [data["size"]]})


def _data_of(run: Path) -> dict[str, Any]:
    """What the specification of a run's last stage says of its data."""
    data: dict[str, Any] = _spec_of(run)["data"]
    return data


def _spec_of(run: Path) -> Any:
    last = list(read_json(run / "run.json")["stages"].values())[-1]
    return read_json(store_of(run) / "stages" / last / "spec.json")


def _of_file(path: Path) -> Origin:
    """A folder as `sslkit export` and the hub have it names its preprocessing beside model.safetensors."""
    about: Any = None
    if path.name == "model.safetensors":
        with suppress(OSError, ValueError):
            about = json.loads((path.parent / "config.json").read_text("utf-8"))["pretrained_cfg"]
    return _of_config(str(path), about) if isinstance(about, Mapping) else Origin(str(path))


def sentence(origin: Origin, taken: Mapping[str, Any]) -> str:
    """What is said of it: its name, its licence, and the keys that were set by it."""
    license = f", licence {origin.license}" if origin.license else ""
    shown = ", ".join(f"{key}={value}" for key, value in taken.items())
    other = f" (they are for {origin.size} px)" if taken.get("data.size", origin.size) != origin.size else ""
    return f"weights: {origin.name}{license}" + (f"; as they were trained: {shown}{other}" if shown else "")
