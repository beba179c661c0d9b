"""What is to be predicted: image files, folders and archives of them, lists, and data sets that can be trained from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import Flat
from sslkit.config.resolve import argument
from sslkit.data.columns import USUAL
from sslkit.data.csv_files import composed
from sslkit.data.tables import read_columns
from sslkit.datasets._folders import files_below, none_but
from sslkit.datasets._listed import Files, find_files
from sslkit.errors import UserError
from sslkit.finished.archives import images_in, is_archive
from sslkit.prepare.dataset import place_of

LISTS = (".txt", ".lst", ".csv", ".tsv", ".json", ".jsonl", ".ndjson")
Given = Callable[[str], Flat]


@dataclass(frozen=True)
class Input:
    """An image to classify."""

    name: str
    source: Any  # what it is opened from: an array, bytes, the path of a file, or a function that gives bytes
    label: int = -1  # number of its class, -1 where it is not known

    def opened(self) -> Any:
        """An array, bytes or a path."""
        return self.source() if callable(self.source) else self.source


def inputs(words: Sequence[str], classes: Sequence[str], given: Given = lambda _: {}) -> list[Input]:
    """All images that are named.

    Args:
        words: image files; folders, tar and zip files, in which the name of the nearest folder that is called as a
            class is an image's label; lists, `NAME.txt` with a path a line or any table, and data sets as `csv:FILE`,
            whose labels of the same name are labels.
        classes: of the network.
        given: the configuration that is meant for a data set of this name, by key: what names its columns and folders.

    Raises:
        UserError: there is no such file, folder or data set, or no image in it.
    """
    left: Counter[str] = Counter()
    found = [one for word in words for one in _named(word, classes, given, left)]
    if not found:
        raise UserError(f"no image in {', '.join(words)}{none_but(left)}")
    return found


def _named(word: str, classes: Sequence[str], given: Given, left: Counter[str]) -> Iterator[Input]:
    known = {entry.name for entry in registry.entries("dataset")}
    if not Path(word).exists() and word.partition(":")[0] in known and ":" in word:
        yield from _of_dataset(word, classes, given(word))
    elif Path(word).suffix.lower() in LISTS and Path(word).is_file():
        yield from _of_list(Path(word), classes)
    elif is_archive(Path(word)):
        for name, read in images_in(Path(word), left):
            yield Input(f"{word}/{name}", read, _label(Path(name), Path(), classes))
    else:
        for file in _files(Path(word), left):
            yield Input(str(file), str(file), _label(file, Path(word), classes))


def _of_list(file: Path, classes: Sequence[str]) -> Iterator[Input]:
    """The images of a list: each line is a path where one of them is a file, else the list is a table.

    Labels are class names, or numbers of classes where none is a name; others are not known.
    """
    lines = [line.strip() for line in file.read_bytes().decode("utf-8", "replace").splitlines() if line.strip()]
    if any(os.path.isfile(file.parent / line) for line in lines):
        yield from (Input(line, str(file.parent / line)) for line in lines)
        return
    files = Files(file.parent)
    table = read_columns(file, USUAL, ("label", "split", "group"), is_image=files.has)
    paths, _ = find_files(files, table)
    labels = table.columns.get("label", [""] * len(paths))
    names = {name: c for c, name in enumerate(classes)}
    place = names if names.keys() & {*labels} else {str(c): c for c in range(len(classes))}
    for name, path, label in zip(table["path"], paths, labels, strict=True):
        yield Input(name, str(file.parent / path), place.get(label, -1))


def _of_dataset(word: str, classes: Sequence[str], given: Flat) -> Iterator[Input]:
    """Both parts of a data set."""
    cls = registry.load("dataset", word)
    options = place_of(given, word, cls)
    if "classes" in options:  # labels are told by their names
        options["classes"] = options["classes"] or "folders"
    own, *parts = cls(**argument("dataset", word, cls), **options).read()
    place = {c: classes.index(name) for c, name in enumerate(own) if name in classes}
    for part, raw in zip(("train", "test"), parts, strict=True):
        for i in range(len(raw.images)):
            yield Input(raw.name(i, part), raw.source(i), place.get(int(raw.label[i]), -1))


def _files(path: Path, left: Counter[str]) -> list[Path]:
    """The file, or the images in the folder and its folders, in order; links are followed, hidden ones left out."""
    if not path.exists():
        raise UserError(f"no file or folder {str(path)!r}")
    return [Path(path, name) for name in files_below(path, "", left)] if path.is_dir() else [path]


def _label(file: Path, top: Path, classes: Sequence[str]) -> int:
    """Number of the class that the nearest folder between `top` and the file is called after, else -1."""
    inside = map(composed, file.relative_to(top).parts[:-1] if file != top else ())
    return next((classes.index(name) for name in reversed([*inside]) if name in classes), -1)
