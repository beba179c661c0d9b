"""What is to be predicted: image files, folders and archives of them, lists, and data sets that can be trained from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import Flat
from sslkit.config.resolve import argument
from sslkit.data.columns import NOBODY, PATH, USUAL, Columns, no_labels
from sslkit.data.columns import said as column_said
from sslkit.data.csv_files import UNLABELLED, composed
from sslkit.data.formats import counted
from sslkit.data.label_sets import members
from sslkit.data.table_files import read_text
from sslkit.data.tables import read_columns
from sslkit.datasets._folders import files_below, none_but
from sslkit.datasets._listed import Files, find_files
from sslkit.errors import UserError, listed
from sslkit.finished.archives import images_in, is_archive
from sslkit.prepare.dataset import place_of
from sslkit.store import remote
from sslkit.store.anywhere import isfile, join, look_below, place
from sslkit.store.drives import tried_again

LISTS = (".txt", ".lst", ".csv", ".tsv", ".json", ".jsonl", ".ndjson")
Given = Callable[[str], Flat]


@dataclass(frozen=True)
class Input:
    """An image to classify."""

    name: str
    source: Any  # what it is opened from: an array, bytes, the path of a file, or a function that gives bytes
    label: int = -1  # number of its class, -1 where it is not known
    labels: str = ""  # of several the set, as `sslkit.data.label_sets` has it

    def opened(self) -> Any:
        """An array, bytes or a path.

        Raises:
            BadImageError: it cannot be got out of its archive.
        """
        return tried_again(self.source)() if callable(self.source) else self.source


@tried_again
def inputs(
    words: Sequence[str], classes: Sequence[str], given: Given = lambda _: {}, said: list[str] | None = None
) -> list[Input]:
    """All images that are named.

    Args:
        words: image files; folders, tar and zip files, in which the name of the nearest folder that is called as a
            class is an image's label; lists, `NAME.txt` with a path a line or any table, and data sets as `csv:FILE`,
            whose labels of the same name are labels. Parquet files, and folders of nothing else, are data sets.
        classes: of the network.
        given: the configuration that is meant for a data set of this name, by key: what names its columns and folders.
        said: gets how data sets and labels were understood, and what was left out.

    Raises:
        UserError: there is no such file, folder or data set, or no image in it.
    """
    remote.forget()
    told = list[str]()
    found = [one for word in words for one in _named(word, classes, given, told)]
    if not found:
        raise UserError("; ".join(told))
    if said is not None:
        said += told
    return found


def _named(word: str, classes: Sequence[str], given: Given, said: list[str]) -> Iterator[Input]:
    path, known = place(word), {entry.name for entry in registry.entries("dataset")}
    name, _, rest = word.partition(":")
    if not word.strip():
        raise UserError("the path of what is to be predicted is empty")
    if name in known and not path.exists():
        listed = name == "csv" and rest
        yield from (_of_list if listed else _of_dataset)(word, classes, given(word), said)
    elif path.suffix.lower() in LISTS and path.is_file():
        yield from _of_list(f"csv:{word}", classes, given(f"csv:{word}"), said)
    elif path.suffix.lower() == ".parquet" and path.is_file():
        yield from _of_dataset(f"parquet:{word}", classes, given(f"parquet:{word}"), said)
    else:
        yield from _of_files(path, classes, given, said)


def _of_files(path: Path, classes: Sequence[str], given: Given, said: list[str]) -> Iterator[Input]:
    """An image file, or the images in a folder or archive; what else is in it is counted."""
    left: Counter[str] = Counter()
    if is_archive(path):
        inside = images_in(path, left)
        found = [Input(f"{path}/{name}", read, _label(Path(name), Path(), classes)) for name, read in inside]
    else:
        found = [Input(str(file), str(file), _label(file, path, classes)) for file in _files(path, left)]
    yield from found
    if not found and path.is_dir() and left.keys() == {".parquet"}:
        word = f"parquet:{path}"
        yield from _of_dataset(word, classes, given(word), said)
    elif left or not found:
        said.append(f"{path}: left out {counted(left)}" if found else f"no image in {path}{none_but(left)}")


def _of_list(word: str, classes: Sequence[str], given: Flat, said: list[str]) -> Iterator[Input]:
    """The images of a list: each line is a path where one of them is a file, else the list is a table.

    Labels are class names, or numbers of classes where none is a name; others are not known.
    """
    cls = registry.load("dataset", word)
    file = place(argument("dataset", word, cls)["file"])
    asked = Columns(**place_of(given, word, cls))
    files = Files(file.parent)
    lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if asked == NOBODY and any(isfile(join(file.parent, line)) for line in lines):
        header = lines[0].lower() in PATH and not files.has(lines[0])
        yield from (Input(line, join(file.parent, line)) for line in lines[header:])
        return
    table = read_columns(file, USUAL, ("label", "split", "group"), asked, files.has, classes)
    paths, remarks = find_files(files, table)
    labels = table.columns.get("label", [""] * len(paths))
    if asked.multilabel:
        said += [f"{file}: {remark}" for remark in (*table.remarks, *remarks)]
        each = [(name, join(file.parent, path)) for name, path in zip(table["path"], paths, strict=True)]
        yield from _of_sets(str(file), each, labels, classes, said)
        return
    number = {name: c for c, name in enumerate(classes)}
    known, used = [name for name in classes if name in labels], {*table.names.values()}
    if not known:
        number = {str(c): c for c in range(len(classes))}
        meant = [f"{c} is {name}" for c, name in enumerate(classes) if str(c) in labels]
        remarks += [f"labels are numbers of the run's classes: {listed(meant)}"] if meant else []
    elif table.header:
        said.append(column_said(str(file), table.names["label"], known, table.header, used))
    if "label" not in table.columns:
        said += no_labels(str(file), [name for name in table.header if name not in used])
    said += [f"{file}: {remark}" for remark in (*table.remarks, *remarks)]
    said += _strange(str(file), [label for label in labels if label not in number and label not in UNLABELLED])
    for name, path, label in zip(table["path"], paths, labels, strict=True):
        yield Input(name, join(file.parent, path), number.get(label, -1))


def _of_dataset(word: str, classes: Sequence[str], given: Flat, said: list[str]) -> Iterator[Input]:
    """Both parts of a data set."""
    cls = registry.load("dataset", word)
    options = place_of(given, word, cls)
    if "classes" in options:  # labels are told by their names
        options["classes"] = options["classes"] or "folders"
    dataset = cls(**argument("dataset", word, cls), **options)
    own, *parts = dataset.read()
    if options.get("multilabel"):
        said += [remark for remark in dataset.remarks if remark]
        texts = [own[c] if c >= 0 else "" for raw in parts for c in raw.label.tolist()]
        both = zip(("train", "test"), parts, strict=True)
        each = [(raw.name(i, part), raw.source(i)) for part, raw in both for i in range(len(raw.images))]
        yield from _of_sets(word.partition(":")[2], each, texts, classes, said)
        return
    number = {c: classes.index(name) for c, name in enumerate(own) if name in classes}
    said += [remark for remark in dataset.remarks if remark]
    said += _strange(word.partition(":")[2], [own[c] for raw in parts for c in raw.label if c >= 0 and c not in number])
    for part, raw in zip(("train", "test"), parts, strict=True):
        for i in range(len(raw.images)):
            yield Input(raw.name(i, part), raw.source(i), number.get(int(raw.label[i]), -1))


def _of_sets(
    word: str, images: Sequence[tuple[str, Any]], texts: Sequence[str], classes: Sequence[str], said: list[str]
) -> Iterator[Input]:
    """Images with sets of labels; one with a label that is no class of the run is not judged."""
    known = [{*members(text)} <= {*classes} for text in texts]
    said += _strange(word, [name for text in texts for name in members(text) if name not in classes])
    for (name, source), text, judged in zip(images, texts, known, strict=True):
        yield Input(name, source, labels=text if judged else "")


def _strange(word: str, labels: Sequence[str]) -> list[str]:
    """That images are not judged, whose labels are no class of the run."""
    names = [repr(name) for name in sorted({*labels})]
    some = f"{len(labels)} image{'s' * (len(labels) > 1)}"
    return [f"{word}: labels that are no class of the run are not judged: {listed(names)} ({some})"] if labels else []


def _files(path: Path, left: Counter[str]) -> list[Path]:
    """The file, or the images in the folder and its folders, in order; links are followed, hidden ones left out."""
    if not path.exists():
        raise UserError(f"no file or folder {str(path)!r}")
    if not path.is_dir():
        return [path]
    look_below(path)
    return [path / name for name in files_below(path, "", left)]


def _label(file: Path, top: Path, classes: Sequence[str]) -> int:
    """Number of the class that the nearest folder between `top` and the file is called after, else -1."""
    inside = map(composed, file.relative_to(top).parts[:-1] if file != top else ())
    return next((classes.index(name) for name in reversed([*inside]) if name in classes), -1)
