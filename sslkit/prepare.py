"""From a request to a configuration with its data: read, decoded and split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sslkit import decoding, registry
from sslkit.config import Config
from sslkit.data import Dataset, Images
from sslkit.durations import in_steps
from sslkit.errors import UserError
from sslkit.machine import memory
from sslkit.plugins import check_plugins
from sslkit.resolve import argument, coerce, named, options, resolve
from sslkit.splits import Split, check_lists, split, take_labels

MAX_SIZE = 224  # pixels, unless asked for more
SMALL_SIZE = 64  # up to here images have the views of the small-image protocol, above those of Semi-ViT
LARGE = {"views.weak": "semi_vit_weak", "views.strong": "semi_vit_strong"}
TUNING_SEED = 100  # the first one


@dataclass(frozen=True)
class Prepared:
    """A request, resolved: the configuration, its data, and what it was decided from."""

    config: Config
    images: Images
    split: Split
    remarks: list[str]


def prepare(request: Mapping[str, Any], cache: Path | None = None) -> Prepared:
    """Resolve a request, read its data set, decode it and split it.

    Args:
        cache: folder where decoded images are kept for the next time.

    Raises:
        UserError: anything in the request that cannot be.
    """
    flat = named(request)
    if flat.get("data.tune") and flat.setdefault("seed", TUNING_SEED) < TUNING_SEED:
        raise UserError(f"--tune is for seeds from {TUNING_SEED} upward, so that no reported seed is tuned on")
    check_plugins({k.removeprefix("plugins."): flat.pop(k) for k in list(flat) if k.startswith("plugins.")})
    name = str(flat.get("data.name", "digits"))
    cls = registry.load("dataset", name)
    dataset: Dataset = cls(**argument("dataset", name, cls), **_place(flat, name, cls))
    classes, train, test = dataset.read()
    remarks: list[str] = []

    def size() -> int:
        asked = flat.get("data.size", "auto")
        return int(asked) if isinstance(asked, int) else min(decoding.median_size(train), MAX_SIZE)

    def backbone() -> str:
        chosen = "vit_micro" if size() <= 16 else "vit_tiny" if size() <= SMALL_SIZE else "vit_small"
        remarks.append(f"backbone {chosen}, chosen for images of {size()} px")
        return chosen

    config = resolve(flat, cls, backbone, LARGE if size() > SMALL_SIZE else {})
    config = replace(config, data=replace(config.data, size=size()))
    train, test, said = take_labels(config.data.labels, classes, train, test)
    remarks += said
    check_lists(config.data, train.label)  # before the images are decoded, which can take an hour
    images = decoding.decode(
        classes,
        train,
        test,
        size(),
        cache,
        limit=1e9 * config.data.cache_gb if config.data.cache_gb is not None else memory() / 2,
        whole=config.data.whole,
        workers=config.data.workers,
    )
    parts = split(images, config.data, config.seed)
    return Prepared(in_steps(config, parts), images, parts, remarks)


def _place(flat: Mapping[str, Any], name: str, cls: type) -> dict[str, Any]:
    """`data.dir` and `data.download` where they are given, for a data set that takes them."""
    given = {}
    for option, kind in (("dir", str), ("download", bool)):
        value = coerce(f"data.{option}", flat.get(f"data.{option}", kind()), kind)
        if value and (option not in options(cls) or option == getattr(cls, "argument", None)):
            raise UserError(f"data set {name!r} has no use for data.{option}; drop it")
        if value:
            given[option] = value
    return given
