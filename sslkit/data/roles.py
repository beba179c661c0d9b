"""Which column of a text table has the paths, the labels, the part and the group: by name, else by what is in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sslkit.data.columns import LABEL, PARTS, Columns, label_columns, usual
from sslkit.data.csv_files import UNLABELLED, composed
from sslkit.data.formats import suffixes
from sslkit.errors import UserError

SAMPLE = 200  # rows that are looked at to find the paths
IsImage = Callable[[str], bool]


@dataclass(frozen=True)
class Body:
    """Rows below the names of the columns."""

    where: str  # the file, for messages
    names: Sequence[str]  # "1", "2", … where the file has none
    rows: Sequence[Sequence[str]]
    named: bool
    is_image: IsImage  # whether a cell without the suffix of an image names one

    def column(self, i: int) -> list[str]:
        return [row[i] for row in self.rows if len(row) > i]

    def values(self, i: int) -> set[str]:
        """Different cells that may be labels."""
        return {*self.column(i)} - {*UNLABELLED}


def is_header(
    first: Sequence[str], rows: Sequence[Sequence[str]], known: Sequence[str], is_image: IsImage | None
) -> bool:
    """Whether the first row names the columns.

    It does where one of its cells is a usual name, or no cell names an image and below there are some that do; but
    not where a cell that is no path stands again below it, as the class `y` or `cat` would.

    Args:
        known: usual names, in lower case.
        is_image: as `Body` has it; None for tables without images.
    """
    if any(cell.lower().endswith(suffixes()) for cell in first):
        return False
    body = Body("", list(first), rows, named=True, is_image=is_image or (lambda _: False))
    again = [i for i in range(len(first)) if first[i] and first[i] in body.column(i)]
    lower = [cell.lower() for cell in first]
    usual_names = [i for i, cell in enumerate(lower) if cell in known]
    if usual_names:
        return not {*usual_names} <= {*again}
    found = _with_images(body, range(len(first))) if is_image else []
    return bool(found) and not again and not body.is_image(first[found[0]])


def roles(
    body: Body,
    known: Mapping[str, Sequence[str]],
    optional: Sequence[str],
    asked: Columns,
    classes: Collection[str] = (),
) -> dict[str, list[int]]:
    """Role -> the place of its column; of `label` the places of several where there is one a class.

    Args:
        known: role -> usual names, in lower case.
        optional: roles that no column need have.
        asked: names that somebody gave.
        classes: that are known.

    Raises:
        UserError: no column can have a role, or several can.
    """
    wanted = {"path": asked.image, "label": asked.label, "split": asked.split, "group": asked.group}
    place = {role: _named(body, wanted[role]) for role in known if wanted.get(role)}
    for role in known:
        if role not in (*place, "path", "label") and (name := usual(body.names, known[role])):
            place[role] = _named(body, name)
    free = [i for i in range(len(body.names)) if [i] not in place.values()]
    if len(known) > 1:
        free = [i for i in free if i not in _counting(body, free)]
    if "path" in known and "path" not in place and free:
        place["path"] = [_paths(body, free, known["path"])]
        free = [i for i in free if [i] != place["path"]]
    if "split" in known and "split" not in place and (found := [i for i in free if _says_parts(body, i)]):
        place["split"] = found[:1]
        free.remove(found[0])
    if "label" in known and "label" not in place and free:
        must = "label" not in optional
        may = _naming(body, free, classes) if classes and not must else free
        names, values = [body.names[i] for i in may], [body.values(i) for i in may]
        chosen = label_columns(names, values, len(body.rows), body.where, classes, needed=must)
        place |= {"label": [i for k in chosen for i in _named(body, names[k])]} if chosen else {}
    for role in known:
        if role not in (*place, *optional):
            if role in ("path", "label") or not free:
                needed = ", ".join(name for name in known if name not in optional)
                raise UserError(f"{body.where} needs the columns {needed}; its columns are {', '.join(body.names)!r}")
            place[role] = [free.pop(0)]
    return place


def _named(body: Body, name: str) -> list[int]:
    """The column of that name, or the columns of those between commas."""
    words = [name] if name in body.names else name.split(",")
    for word in words:
        if body.names.count(word) > 1:
            raise UserError(f"{body.where} has {body.names.count(word)} columns called {word!r}; rename all but one")
    return [body.names.index(word) for word in words]


def _counting(body: Body, free: Sequence[int]) -> list[int]:
    """Columns that only number the rows, as pandas writes its index: unnamed (so called by their place), or the first
    where none has a name."""
    found = []
    for i in free:
        cells = body.column(i)
        whole = all(cell.isdecimal() for cell in cells) and len({*cells}) == len(cells)
        if body.named and body.names[i].lower() in (str(i + 1), "unnamed: 0", "index", "level_0") and whole:
            found.append(i)
        elif not body.named and i == 0 and len(free) > 2 and _with_images(body, free[1:]):
            n = len(body.rows)
            found += [i] if cells in ([str(k) for k in range(n)], [str(k + 1) for k in range(n)]) else []
    return found


def _with_images(body: Body, free: Sequence[int]) -> list[int]:
    """Columns whose cells name images: by their suffix, else as `is_image` says; the fullest ones."""
    for test in (lambda cell: cell.lower().endswith(suffixes()), body.is_image):
        hits = {i: sum(map(test, body.column(i)[:SAMPLE])) for i in free}
        most = max(hits.values(), default=0)
        if most:
            found = [i for i in free if 2 * hits[i] > most]
            different = [i for i in found if len({*body.column(i)}) == len(body.rows)]
            return different or found
    return []


def _paths(body: Body, free: Sequence[int], words: Sequence[str]) -> int:
    found = _with_images(body, free)
    called = [i for word in words for i in free if body.names[i].lower() == word]
    if among := [i for i in called if i in found]:
        return among[0]
    if len(found) > 1 and body.named:
        several = ", ".join(body.names[i] for i in found)
        raise UserError(
            f"{body.where}: which of the columns has the images: {several}? "
            f"--set data.image={body.names[found[0]]} says it"
        )
    return next(iter([*found, *called, *free]))


def _says_parts(body: Body, i: int) -> bool:
    """Whether a column says of every row to which part it belongs, and they do not all belong to one."""
    values = {cell.lower() for cell in body.column(i)}
    return len(values) > 1 and values <= PARTS.keys() and len({PARTS[value] for value in values}) > 1


def _naming(body: Body, free: Sequence[int], classes: Collection[str]) -> list[int]:
    """The columns that may be the labels of known classes: of a usual name, or with such classes in or above them."""
    if usual([body.names[i] for i in free], LABEL):
        return [*free]
    values = {i: {*map(composed, body.values(i))} for i in free}
    whole = [i for i in free if values[i] and values[i] <= {*classes}]
    some = [i for i in free if any(value in classes and not value.isdecimal() for value in values[i])]
    ones = [i for i in free if composed(body.names[i]) in classes]
    return whole or some or (ones if len(ones) > 1 else [])
