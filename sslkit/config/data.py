"""The section `data` of the configuration."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from sslkit.config.class_weights import by_name
from sslkit.config.statistics import check


def within(section: Any, **ranges: tuple[float | None, float | None]) -> None:
    for name, (low, high) in ranges.items():
        value = getattr(section, name)
        if value is not None and not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"{low} or more" if high is None else f"from {low} to {high}"
            raise ValueError(f"{name} must be {limits}, got {value}")


SHARE = 0.2  # of each class for the test that is set aside
NO_TEST = "none"  # `data.test` of a run that learns all labels and measures nothing


@dataclass(frozen=True)
class Data:
    name: str = "digits"  # NAME or NAME:ARGUMENT
    dir: str = ""  # folder that holds the data set, for those that need one
    download: bool = False  # fetch what is missing, for those that can
    labels: str = "10/class"  # N/class, N in all, N%, all, index:FILE.csv or file:FILE.csv
    pool: str = "complement"  # or "all", with the labelled images, or index:FILE.csv, or without:FILE.csv
    val: float | str = 0.0  # share of the labelled images held out, or folders; only then is there a "best" checkpoint
    tune: bool = False  # hide the real test: a quarter of the training part stands in for it
    size: int | None = None  # side of the images; auto: their median, at most 224
    crop: float = 1.0  # side of the middle square that is read, as a share of the short side: 0.875 is 224 of 256
    whole: bool = False  # crops are cut out of whole images, decoded for every batch, not of their middle square
    cache_gb: float | None = None  # decoded images above are decoded for every batch; auto: half of the memory
    workers: int | None = None  # threads that decode for every batch; auto: one a core
    test: float | str = SHARE  # share of each class set aside as the test, without a test part; its folders; or none
    train: str = ""  # folders of the training part, "." for DIR itself; "" is what names and contents say
    unlabeled: str = ""  # folders of images without a label
    image: str = ""  # column of the images, in data sets that are tables; "" is the one that there is
    label: str = ""  # column of the labels; "" is that of a usual name, or the only one that can be
    split: str = ""  # column that says train, test or val
    group: str = ""  # column of groups: images of one are in one part only
    groups: str = ""  # regular expression that finds an image's group in its name; a group is in one part only
    classes: str = (
        ""  # regular expression that finds an image's class in its name; or "file", "folders" have the classes
    )
    on_bad_image: Literal["stop", "skip"] = "stop"
    duplicates: Literal["keep", "drop"] = "keep"  # drop: training images that are byte for byte in the test part, too
    stats: str = "declared"  # mean and std for normalising: declared by the data set, measured, or R,G,B/R,G,B
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"  # how images are scaled
    white: str | None = (
        None  # level of white where images have more than 8 bits, or "measured"; auto: by depth, if used
    )
    bands: str = ""  # bands that are red, green and blue, as 3,2,1, or the one that is grey; "" is as the file says
    class_weights: str = "none"  # of the supervised loss: none, auto (inverse frequency), or cat=2,dog=0.5
    sampling: Literal["images", "classes"] = "images"  # labelled ones: each image equally often, or each class
    imbalance: str = ""  # GAMMA[:GAMMA_U]: the first class is so many times the last, of labels and pool; "" is none
    multilabel: bool = False  # an image may have several labels, or none
    open_set: str = ""  # classes that only the pool has: the last K, or their names, as cat,dog; "" is none

    def __post_init__(self) -> None:
        within(self, size=(4, 4096), crop=(0.1, 1), cache_gb=(0, None), workers=(1, 1024))
        shares = {
            name: limits for name, limits in {"val": (0, 0.9), "test": (0.01, 0.9)}.items() if not self.named(name)
        }
        within(self, **shares)
        if self.pool not in ("complement", "all") and not self.pool.startswith(("index:", "without:")):
            raise ValueError(f"pool must be complement, all, index:FILE.csv or without:FILE.csv, got {self.pool!r}")
        check(self.stats)
        _check_white(self.white)
        if self.bands and not re.fullmatch(r"[1-9]\d*(,[1-9]\d*,[1-9]\d*)?", self.bands):
            raise ValueError(f"bands must be three numbers of bands, from 1, as 3,2,1, or one, got {self.bands!r}")
        if self.tune and self.test == NO_TEST:
            raise ValueError("tune measures on held-out images, and test=none measures nothing: leave one")
        by_name(self.class_weights)
        if self.imbalance and not _are_gammas(self.imbalance):
            raise ValueError(
                f"imbalance must be one or two numbers from 1 up, or from -1 down, as 100 or 100:-50, "
                f"got {self.imbalance!r}"
            )
        alone = {"imbalance": "", "open_set": "", "class_weights": "none", "sampling": "images"}
        if self.multilabel and (wrong := [name for name, off in alone.items() if getattr(self, name) != off]):
            raise ValueError(f"{wrong[0]} is for images of one class each; drop it, or data.multilabel")
        if self.class_weights == "auto" and self.sampling == "classes":
            raise ValueError("class_weights=auto and sampling=classes both even out the classes: leave one")

    def named(self, part: str) -> str:
        """The folders that `val` or `test` names, "" where it is a share."""
        value = getattr(self, part)
        return value if isinstance(value, str) else ""


def _are_gammas(text: str) -> bool:
    try:
        return len(text.split(":")) <= 2 and all(1 <= abs(float(word)) < math.inf for word in text.split(":"))
    except ValueError:
        return False


def _check_white(text: str | None) -> None:
    try:
        right = text is None or text == "measured" or 0 < float(text) < math.inf
    except ValueError:
        right = False
    if not right:
        raise ValueError(f"white must be a level above 0, or measured, got {text!r}")
