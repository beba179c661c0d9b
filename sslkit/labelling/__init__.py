"""Files of labelling tools, a module each: read as images with the classes that annotators gave; and written for them.

What is read is known by its content. Nothing here opens an image or knows a data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sslkit.errors import UserError, unknown
from sslkit.labelling import coco, cvat, datumaro, fiftyone, imagenet, label_studio, label_studio_table
from sslkit.labelling.entries import PARTS, SHAPES, Entry, Settled, settle
from sslkit.labelling.source import Source

TABLE = "table"  # what `sslkit.data.tables` reads: no file of a tool
OF_LABELS = (".json", ".jsonl", ".xml", ".csv", ".tsv")  # suffixes of files that hold them


@dataclass(frozen=True)
class Asked:
    """What the user said of a file; "" where nothing."""

    image: str = ""
    label: str = ""
    accepted: bool = False  # predictions within it count as labels


class Format(NamedTuple):
    """A kind of file."""

    title: str
    knows: Callable[[Source], bool]
    read: Callable[[Source, Asked], list[Entry]]


FORMATS = {  # in the order in which they are tried
    label_studio.NAME: Format(
        label_studio.TITLE, label_studio.knows, lambda s, asked: label_studio.read(s, asked.image, asked.label)
    ),
    label_studio_table.NAME: Format(
        label_studio_table.TITLE,
        label_studio_table.knows,
        lambda s, asked: label_studio_table.read(s, asked.image, asked.label),
    ),
    cvat.NAME: Format(cvat.TITLE, cvat.knows, lambda s, asked: cvat.read(s, asked.accepted)),
    datumaro.NAME: Format(datumaro.TITLE, datumaro.knows, lambda s, _: datumaro.read(s)),
    coco.NAME: Format(coco.TITLE, coco.knows, lambda s, _: coco.read(s)),
    fiftyone.NAME: Format(fiftyone.TITLE, fiftyone.knows, lambda s, _: fiftyone.read(s)),
    imagenet.LISTS: Format(imagenet.LISTS_TITLE, imagenet.knows_lists, lambda s, _: imagenet.read_lists(s)),
    imagenet.NAME: Format(imagenet.TITLE, imagenet.knows, lambda s, _: imagenet.read(s)),
}


@dataclass(frozen=True)
class Export:
    """A file of a tool, as it was read."""

    file: str
    form: str  # one of FORMATS
    entries: list[Entry]

    @property
    def title(self) -> str:
        return FORMATS[self.form].title

    def settled(self, has: Callable[[str], bool] | None = None, *, majority: bool = False) -> Settled:
        """A row an image; see `settle`.

        Raises:
            UserError: no image has a class.
        """
        found = settle(self.entries, has, majority=majority)
        if not found.labelled:
            why = "; ".join(found.said()) or f"{len(found.paths)} images, all without a class"
            other = ", it is of another task" if SHAPES in found.reasons else ""
            raise UserError(f"{self.file} ({self.title}) has no class of an image{other}: {why}")
        return found


def exported(file: Path, form: str = "", asked: Asked = Asked()) -> Export | None:
    """A file or folder of a labelling tool; None where it is a table or none that is known.

    Args:
        form: one of FORMATS or `TABLE`; "" tells it by what is in the file.

    Raises:
        UserError: there is no such file, it is broken, or it is of another form than was said.
    """
    if form not in ("", TABLE, *FORMATS):
        raise unknown("format", form, [*FORMATS, TABLE])
    if form == TABLE:
        return None
    source = _unpacked(Source.of(file))
    found = form or next((name for name, one in FORMATS.items() if one.knows(source)), "")
    if not found:
        return None
    if form and not FORMATS[form].knows(source):
        raise UserError(f"{file} is no {FORMATS[form].title}; leave out --format {form}, and it is told by its content")
    entries = FORMATS[found].read(source, asked)
    if not entries:
        raise UserError(f"{file} ({FORMATS[found].title}) names no image")
    return Export(str(file), found, entries)


def _unpacked(source: Source) -> Source:
    """A folder that holds nothing but one folder, or one file of labels, stands for that."""
    while source.is_folder and len(source.children) == 1:
        (inner,) = source.children
        if inner.path.name in ("annotations", "data", *PARTS):
            break
        if inner.is_folder and not any(one.is_folder or one.suffix in OF_LABELS for one in inner.children):
            break  # of images: the only class
        source = inner
    return source
