"""The configuration that a request comes to, for somebody who reads it before there are data or weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sslkit.config import STAGES, Config, Flat, flatten
from sslkit.config.resolve import argument, options
from sslkit.data import Images
from sslkit.prepare import asked, gather, places_of, prepare, resolved
from sslkit.prepare.dataset import dataset_of, place_of
from sslkit.prepare.durations import in_steps


def shown(request: Mapping[str, Any]) -> tuple[Flat, str]:
    """Every key with its value, and a sentence on those that are left out, as the data decide them; "" for none.

    No image is decoded, but for the sizes of some where `data.size` is auto. A data set that needs a folder and was
    given none is not read.

    Raises:
        UserError: anything in the request that cannot be; the size of the images is asked of data without a folder.
    """
    flat = asked(request)
    cls = dataset_of(flat)
    name = str(flat.get("data.name", "digits"))
    needs = "dir" in options(cls) and getattr(cls, "argument", None) != "dir"
    if not needs or place_of(flat, name, cls).get("dir"):
        return flatten(_undecoded(request)), ""

    def side() -> int:
        cls(**argument("dataset", name, cls))  # raises: it needs its folder
        raise AssertionError(f"{name} was read without a folder")

    config, _, _ = resolved(flat, cls, side, {})
    found = flatten(config)
    counted = [f"{stage}.steps" for stage in STAGES if _counted(found, stage)]
    kept = {key: value for key, value in found.items() if key not in counted}
    told = f"; {', '.join(counted)} follow from the number of its images, and are left out" if counted else ""
    return kept, f"{name} is not read, as no --data-dir is given{told}"


def _undecoded(request: Mapping[str, Any]) -> Config:
    """What `prepare` gives, from labels alone; of another data set for `pretrain` the images are read, too."""
    found = gather(request)
    if found.config.pretrain.data:
        return prepare(request).config
    train, test = found.parts.train, found.parts.test
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    names = found.parts.names if found.config.data.pool.startswith("without:") else []
    none = np.empty((len(label), 3, 0, 0), np.uint8)
    images = Images(none, label, len(train.images), found.parts.classes, "", names)
    return in_steps(found.config, places_of(found, images))


def _counted(found: Flat, stage: str) -> bool:
    """Whether the length of a stage is given in epochs or images."""
    return any(found.get(f"{stage}.{unit}") is not None for unit in ("epochs", "images"))
