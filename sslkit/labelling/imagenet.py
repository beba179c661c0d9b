"""Folders that are classes, as CVAT and Datumaro ("ImageNet") and FiftyOne write them; and Datumaro's lists of such.

Images without a class lie in `no_label` (CVAT, Datumaro) or `_unlabeled` (FiftyOne), which are no classes.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import PurePosixPath

from sslkit.errors import UserError
from sslkit.labelling.entries import PARTS, Entry
from sslkit.labelling.label_studio import IMAGE
from sslkit.labelling.parts import entry_of
from sslkit.labelling.source import Place, Source

NAME = "folders"
TITLE = "class folders"
LISTS, LISTS_TITLE = "imagenet-txt", "lists with synsets.txt"
NO_CLASS = ("no_label", "_unlabeled")
LINE = re.compile(r'(?:"(?P<quoted>[^"]*)"(?P<suffix>\S*)|(?P<plain>\S+))(?P<numbers>(\s+\d+)*)\s*')


def knows(source: Source) -> bool:
    return source.is_folder and any("/" in name for name in _images(source))


def read(source: Source) -> list[Entry]:
    """The images; what lies in several class folders under one name and is equal to the byte has several classes."""
    images = _images(source)
    tops = {name.partition("/")[0] for name in images}
    parted = tops <= {*PARTS} and all(name.count("/") > 1 for name in images)
    same = _equal(images, parted)
    entries = []
    for name in images:
        classes = (_class(other, parted) for other in same.get(name, [name]))
        entries.append(Entry(name, (tuple(filter(None, classes)),), split=name.partition("/")[0] if parted else ""))
    return entries


def _class(name: str, parted: bool) -> str:
    """The folder that is the class of an image, "" for none."""
    folders = name.split("/")[parted:-1]
    return folders[0] if folders and folders[0] not in NO_CLASS else ""


def _images(source: Source) -> dict[str, Place]:
    return {name: place for name, place in source.below() if IMAGE.search(name)}


def _equal(images: dict[str, Place], parted: bool) -> dict[str, list[str]]:
    """Image -> the images of its name in all class folders that are equal to it, where there are several."""
    named = defaultdict[str, list[str]](list)
    for name in images:
        named[name.split("/", 1 + parted)[-1]].append(name)
    found = dict[str, list[str]]()
    for some in named.values():
        by_bytes = defaultdict[bytes, list[str]](list)
        for name in some if len(some) > 1 else ():
            by_bytes[images[name].read_bytes()].append(name)
        found |= {name: equal for equal in by_bytes.values() if len(equal) > 1 for name in equal}
    return found


def knows_lists(source: Source) -> bool:
    return source.is_folder and any(file.path.name == "synsets.txt" for file in source.inside(".txt"))


def read_lists(source: Source) -> list[Entry]:
    """The images of `train.txt` and the like: a path and the numbers of its classes in `synsets.txt`, from 0.

    Raises:
        UserError: a line is none such.
    """
    files = {file.stem: file for file in source.inside(".txt")}
    classes = [line for line in files.pop("synsets").text.splitlines() if line.strip()]
    entries = []
    for part, file in files.items():
        for number, line in enumerate(file.text.splitlines(), 1):
            if line.strip():
                entries.append(_listed(line, classes, part if len(files) > 1 else "", f"{file.said}, line {number}"))
    return entries


def _listed(line: str, classes: list[str], part: str, where: str) -> Entry:
    found = LINE.fullmatch(line.strip())
    if not found:
        raise UserError(f"{where}: expected a path and numbers of classes, got {line.strip()!r}")
    name = found["plain"] or found["quoted"] + found["suffix"]  # Datumaro writes "a b".jpg
    numbers = [int(word) for word in found["numbers"].split()]
    if any(number >= len(classes) for number in numbers):
        raise UserError(f"{where}: class {max(numbers)}, and synsets.txt lists {len(classes)}")
    return entry_of(PurePosixPath(name).as_posix(), (tuple(classes[number] for number in numbers),), part)
