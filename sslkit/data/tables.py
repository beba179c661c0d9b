"""Tables of images in text: paths, labels, parts and groups by name, whatever the file's form and header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sslkit.data import label_sets
from sslkit.data.columns import NOBODY, SHOWN, Columns, as_written, check_whole, one_a_row
from sslkit.data.csv_files import composed
from sslkit.data.roles import Body, IsImage, is_header, roles
from sslkit.data.table_files import Rows, numbered, read_rows
from sslkit.errors import UserError, listed
from sslkit.labelling import Asked, exported


@dataclass(frozen=True)
class Table:
    """Columns by what they are, and what the file calls them."""

    file: str
    columns: dict[str, list[str]]
    names: dict[str, str]  # "" where the file has no names of columns; of one column a class all, between commas
    header: list[str]  # names of all columns, where the file has such
    at: Sequence[int]
    unit: str  # what `at` counts, "line" or "record"; "image" of a labelling tool's file
    remarks: Sequence[str] = ()  # on a labelling tool's file: what it is, and what of it is in no column

    def __getitem__(self, column: str) -> list[str]:
        return self.columns[column]

    def where(self, row: int) -> str:
        """Where a row stands in the file, as "line 7"."""
        return f"{self.unit} {self.at[row]}"

    def rows(self, some: Iterable[int]) -> str:
        """Where several stand, as "lines 7, 9"."""
        numbers = [str(self.at[row]) for row in some]
        return f"{self.unit}{'s' if len(numbers) > 1 else ''} {listed(numbers, SHOWN)}"


def read_columns(
    file: Path,
    known: Mapping[str, Sequence[str]],
    optional: Sequence[str] = (),
    asked: Columns = NOBODY,
    is_image: IsImage | None = None,
    classes: Sequence[str] = (),
) -> Table:
    """The columns of a table, without spaces around the cells.

    Accents in the column `label` are composed; paths stay as the disk may have them. Labels that are whole numbers as
    pandas writes them, 1.0, are 1. Of columns of 0 and 1, one a class, the label is the name of the one that has the 1;
    where they have no names, their number, from 0.

    A file of a labelling tool has the columns path, label and perhaps split, a row an image; of its own columns or
    controls `asked` names those with images and classes.

    Args:
        known: column -> usual names, in lower case.
        optional: columns that need not be there.
        asked: names that columns do have.
        is_image: whether a cell without the suffix of an image names one; None for tables without images.
        classes: that are known; of columns without a usual name, the one that says nothing else has the labels. Where
            labels are optional, too, a column that names none of the classes has none.

    Raises:
        UserError: the file cannot be read as a table, has no row or one that is too short, no column that is asked
            for, or several that may be it.
    """
    tool = _of_a_tool(file, asked, is_image) if "path" in known else None
    read, remarks = tool or (read_rows(file), ())
    if tool and asked.multilabel:
        raise UserError(f"{file}: of a labelling tool's file one label an image is read; give a table for multilabel")
    asked = replace(asked, image="", label="") if tool else asked
    first = read.header or (read.cells[0] if read.cells else [])
    words = [word for names in known.values() for word in names]
    words += [name.lower() for name in (asked.image, asked.label, asked.split, asked.group) if name]
    named = read.header is not None or is_header(first, read.cells[1:], words, is_image)
    above = int(named and read.header is None)  # the row of names
    cells, at = read.cells[above:], read.at[above:]
    if not asked.multilabel:  # else it is the set without a label
        cells = [["" if cell == "[]" else cell for cell in row] for row in cells]
    if not cells:
        raise UserError(f"{file} holds no row")
    names = [name or number for name, number in zip(first, numbered(len(first)), strict=True)] if named else None
    widest = numbered(max(map(len, cells), default=len(first)))
    body = Body(str(file), names or widest, cells, named, is_image or (lambda _: False))
    place = roles(body, known, optional, asked.check(body.names, str(file)), classes)
    for row, number in zip(cells, at, strict=True):
        if len(row) <= max(i for some in place.values() for i in some):
            raise UserError(f"{file}, {read.unit} {number}: too few columns, {len(row)} of {len(body.names)}")
    columns = {role: [row[some[0]] for row in cells] for role, some in place.items()}
    called = {role: ",".join(body.names[i] for i in some) if named else "" for role, some in place.items()}
    table = Table(str(file), columns, called, list(body.names) if named else [], at, read.unit, remarks)
    if "label" in columns:
        columns["label"] = (_sets if asked.multilabel else _labels)(table, body, place["label"])
    return table


def _of_a_tool(file: Path, asked: Columns, is_image: IsImage | None) -> tuple[Rows, Sequence[str]] | None:
    """The rows of a labelling tool's file, and remarks on it; None where it is none."""
    export = exported(file, asked=Asked(asked.image, asked.label))
    if export is None:
        return None
    found = export.settled(is_image)
    header, cells = found.table()
    remarks = [f"{export.title}, {len(found.paths)} images, {found.labelled} with a class", *found.said()]
    return Rows(header, cells, [*range(1, len(cells) + 1)], "image"), remarks


def _one_a_class(body: Body, place: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """The classes of columns of 0 and 1, and their cells row by row."""
    names = [composed(body.names[i]) if body.named else str(number) for number, i in enumerate(place)]
    return names, [[row[i] for i in place] for row in body.rows]


def _sets(table: Table, body: Body, place: Sequence[int]) -> list[str]:
    """The labels of each row's image as the text of a set."""
    if len(place) > 1:
        names, cells = _one_a_class(body, place)
        labels = label_sets.of_columns(names, cells, table.file, table.rows)
        if bare := label_sets.never(names, cells):
            raise UserError(f"{table.file}: no 1 in the column {listed(bare)}; data.label names the others")
    else:
        labels = label_sets.of_cells([*map(composed, table["label"])], table.file, table.rows)
    return label_sets.merged(table["path"], labels, table.file) if "path" in table.columns else labels


def _labels(table: Table, body: Body, place: Sequence[int]) -> list[str]:
    if len(place) > 1:
        return one_a_row(*_one_a_class(body, place), table.file, table.rows)
    labels = [composed(label) for label in table["label"]]
    nested = [i for i, label in enumerate(labels) if re.match(r'[\[{]["\d\[{]', label)]
    name = body.names[place[0]]
    if nested:
        raise UserError(
            f"{table.file}: column {name!r} holds lists or objects in {table.rows(nested)}; an image has one class here"
        )
    check_whole(labels, table.file, name)
    return as_written(labels)


def refuse_several(table: Table, classes: Sequence[str] = ()) -> None:
    """Refuse rows that hold several labels.

    It is a cell whose parts, between commas, semicolons or bars, are all labels themselves; between spaces, too, where
    the classes are known or are numbers.

    Raises:
        UserError: there are such rows; names them.
    """
    labels = table["label"]
    known = {*classes, *map(str, range(len(classes)))} if classes else {*labels}
    wrong = []
    for row, label in enumerate(labels):
        if label in classes:
            continue
        between = r"[|;,\s]+" if classes or re.fullmatch(r"[\d\s]*", label) else r"\s*[|;,]\s*"
        parts = [part for part in re.split(between, label) if part]
        if len(parts) > 1 and known >= {*parts}:
            wrong.append(f"{label!r} ({table.where(row)}, {table['path'][row]!r})")
    if wrong:
        raise UserError(
            f"{table.file}: several labels in {len(wrong)} of {len(labels)} rows: {listed(wrong, 3)}; an image has one "
            "class here, several with --multilabel (data.multilabel)"
        )
