"""Tar files as WebDataset writes them, `wds:DIR/{000..010}.tar`: images and labels by key, here or on a server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.columns import LABEL, as_written
from sslkit.data.csv_files import UNLABELLED, class_order, composed
from sslkit.data.formats import counted
from sslkit.datasets._layout import CAUTIOUS, called, kind_of
from sslkit.datasets._shards import Sample, Shard, expanded, shards_of
from sslkit.errors import UserError, listed
from sslkit.registry import register
from sslkit.store import anywhere

SHOWN = 4
Place = tuple[Path, Sample]


@register("dataset")
class Wds(Dataset):
    """Braces are ranges and choices, as WebDataset has them; a folder is all tar files in it and below.

    Files whose name begins with test (else val), or that lie in a folder of that name, are the test part. A sample is
    the files of one key: an image, and its label in `.cls`, else in `.json` under a usual name. `label` names another
    file (`txt`) or key of the JSON, `image` one of several images (`left.jpg`). A sample without a label has none.
    Images are read where they lie in the tar file.
    """

    argument = "files"
    defaults = CAUTIOUS

    def __init__(self, *, files: str, image: str = "", label: str = "") -> None:
        self.files, self.image, self.label = files, image.lower().lstrip("."), label

    def read(self) -> tuple[list[str], Raw, Raw]:
        files = self._named()
        shards = dict(zip(files, shards_of(files), strict=True))
        parts = {name: [file for file in files if _part(file) == name] for name in ("training", "test", "validation")}
        tested = parts["test"] or parts["validation"]
        trained = parts["training"] or files
        tested = tested if parts["training"] else []
        train, test = ([(file, one) for file in some for one in shards[file].samples] for some in (trained, tested))
        self.remarks = self._said(shards, trained, tested)
        train, test = self._with_image(train), self._with_image(test)
        if not train:
            raise UserError(f"{self.files}: the tar files hold no image with a key, as 000001.jpg{self._left(shards)}")
        words, tested_words = self._labels(train), self._labels(test)
        classes = class_order({*words} - {""})
        strange = sorted({*tested_words} - {*classes, ""})
        if strange and classes:
            raise UserError(f"{self.files}: the test part has labels that the training part has not: {listed(strange)}")
        number = {name: i for i, name in enumerate(classes)} | {"": -1}
        return classes, self._raw(train, words, number), self._raw(test, tested_words, number)

    def _named(self) -> list[Path]:
        """The tar files, in the order in which they are named."""
        whole = anywhere.place(self.files)
        if whole.is_dir():
            found = sorted(whole.rglob("*.tar"))
            if not found:
                raise UserError(f"{whole} holds no *.tar")
            return found
        names = expanded(self.files)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"{self.files} names {twice[0]} more than once")
        return [*map(anywhere.place, names)]

    def _with_image(self, places: list[Place]) -> list[Place]:
        """The samples that have an image, which is then the only one.

        Raises:
            UserError: there are several, and nobody says which is meant.
        """
        found = []
        for file, one in places:
            plain = [name for name in one.images if "." not in name] or [*one.images]
            wanted = [self.image] if self.image else plain
            if len(wanted) > 1:
                raise UserError(
                    f"{file}: {one.key} has several images, {listed(sorted(wanted))}; --set data.image={wanted[0]} "
                    "says which is meant (a key ends at the first dot)"
                )
            if wanted and wanted[0] in one.images:
                found.append((file, Sample(one.key, {wanted[0]: one.images[wanted[0]]}, one.texts)))
        return found

    def _labels(self, places: list[Place]) -> list[str]:
        """The label of each sample as text, "" where there is none."""
        words = [composed(self._label(file, one)) for file, one in places]
        return ["" if word in UNLABELLED else word for word in as_written(words)]

    def _label(self, file: Path, one: Sample) -> str:
        if self.label in one.texts or (not self.label and "cls" in one.texts):
            return one.texts[self.label or "cls"]
        if "json" not in one.texts:
            return ""
        try:
            about = json.loads(one.texts["json"])
        except ValueError:
            raise UserError(f"{file}/{one.key}.json is no JSON") from None
        return _word(about, self.label, f"{file}/{one.key}.json")

    def _raw(self, places: list[Place], words: Sequence[str], number: dict[str, int]) -> Raw:
        label = np.array([number[word] for word in words], np.int64)
        images, names, folders = [], [], {file: file.name for file, _ in places}
        if len({*folders.values()}) < len(folders):  # files of one name in several folders
            folders = {file: str(file) for file in folders}
        for file, one in places:
            ((suffix, (start, size)),) = one.images.items()
            name = f"{one.key}.{suffix}"
            images.append(anywhere.member(file, start, size, name))
            names.append(f"{folders[file]}/{name}")
        return Raw(images, label, names)

    def _said(self, shards: dict[Path, Shard], train: list[Path], test: list[Path]) -> list[str]:
        counts = [f"{len(some)} {what}" for some, what in ((train, "training"), (test, "test")) if some]
        used = [shards[file] for file in (*train, *test)]
        said = [f"{self.files}: {', '.join(counts)} tar files"]
        unused = [file.name for file in shards if file not in (*train, *test)]
        said += [f"not used: {listed(unused)}"] if unused else []
        apart = [key for shard in used for key in shard.apart]
        if apart:
            some = f"{listed(apart, SHOWN)}; they are put together, and WebDataset itself would take them for several"
            said.append(f"files of {len(apart)} samples do not stand one behind the other: {some}")
        bare = [one.key for shard in used for one in shard.samples if not one.images]
        said += [f"samples without an image are left out: {len(bare)}, as {bare[0]}"] if bare else []
        left = self._left(shards)
        return [*said, f"left out of the tar files{left}"] if left else said

    def _left(self, shards: dict[Path, Shard]) -> str:
        left = sum((Counter(shard.left) for shard in shards.values()), Counter[str]())
        return f": {counted(left)}" if +left else ""


def _part(file: Path) -> str:
    """What a tar file is of: by its name, else by a folder that it lies in."""
    kinds = [called(file.stem)[0], *map(kind_of, reversed(file.parts[:-1]))]
    return next((kind for kind in kinds if kind in ("training", "test", "validation")), "training")


def _word(about: Any, label: str, where: str) -> str:
    """The label in the JSON of a sample, "" where there is none."""
    if isinstance(about, int | str):
        about = {"label": about}
    if not isinstance(about, dict):
        return ""
    small = {str(key).lower(): value for key, value in about.items()}
    value = about.get(label) if label else next((small[name] for name in LABEL if name in small), None)
    if isinstance(value, list) and len(value) <= 1:
        value = value[0] if value else None
    if isinstance(value, list | dict):
        raise UserError(f"{where} holds several labels, {json.dumps(value)[:60]}; an image has one class here")
    return "" if value is None else str(value).strip()
