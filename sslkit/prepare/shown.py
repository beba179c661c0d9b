"""The configuration that a request comes to, for somebody who reads it before there are data or weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslkit.config import STAGES, Config, Flat, flatten
from sslkit.config.resolve import argument, options
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
    return in_steps(found.config, places_of(found))


def _counted(found: Flat, stage: str) -> bool:
    """Whether the length of a stage is given in epochs or images."""
    return any(found.get(f"{stage}.{unit}") is not None for unit in ("epochs", "images"))
