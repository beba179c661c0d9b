"""Images with several labels each, or none: a set of labels is read, and split, as if it were a class.

A set is written as its labels in their order with `;` between them; the set without any is `;`. The classes of such
data are the labels, and a target has a 1 for each that the image has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from sslkit.data import Images
from sslkit.data.columns import ONES, SHOWN, ZEROS
from sslkit.data.csv_files import MISSING, UNLABELLED, class_order, composed
from sslkit.data.image import Array
from sslkit.errors import UserError, listed
from sslkit.randomness import key, permutation

BETWEEN = ";"
EMPTY = ";"  # of an image that has been looked at, and shows none of the classes
MARKS = ("|", ";", ",")  # the first that a column has tells its labels apart


def written(labels: Iterable[str], where: str) -> str:
    """The text of a set.

    Raises:
        UserError: a label has a semicolon in it, which stands between labels.
    """
    names = class_order({composed(label.strip()) for label in labels} - {""})
    if wrong := [name for name in names if BETWEEN in name]:
        raise UserError(f"{where}: the label {wrong[0]!r} has a semicolon, which stands between labels here; rename it")
    return BETWEEN.join(names) or EMPTY


def members(text: str) -> list[str]:
    """The labels of a set."""
    return [name for name in text.split(BETWEEN) if name]


def of_cells(cells: Sequence[str], where: str, at: Callable[[list[int]], str]) -> list[str]:
    """The set that each cell names, "" where it is empty: a list in JSON, or labels with one of `MARKS` between them.

    Args:
        at: says where rows with these numbers are.

    Raises:
        UserError: a list that is none of words or numbers.
    """
    mark = next((mark for mark in MARKS if any(mark in cell for cell in cells)), BETWEEN)
    found, wrong = list[str](), list[int]()
    for number, cell in enumerate(cells):
        if cell in UNLABELLED:
            found.append("")
        elif cell.startswith("["):
            labels = _of_json(cell)
            wrong += [number] if labels is None else []
            found.append(written(labels or [], where))
        else:
            found.append(written(cell.split(mark), where))
    known = {name for text in found for name in members(text)}
    for other in MARKS:
        if mixed := [name for name in known if other in name and {*map(str.strip, name.split(other))} <= known]:
            raise UserError(
                f"{where}: labels have {mark!r} between them, but {sorted(mixed)[0]!r} has {other!r}; write all alike"
            )
    if wrong:
        raise UserError(f"{where}: {at(wrong)} should hold a list of labels in JSON, as {json.dumps(['cat', 'dog'])!r}")
    return found


def _of_json(cell: str) -> list[str] | None:
    try:
        values = json.loads(cell)
    except ValueError:
        return None
    scalar = isinstance(values, list) and all(isinstance(value, str | int) for value in values)
    return [str(value) for value in values] if scalar else None


def of_columns(
    classes: Sequence[str], cells: Sequence[Sequence[str]], where: str, at: Callable[[list[int]], str]
) -> list[str]:
    """Of each row the set of the classes whose column has a 1; "" where all cells are empty.

    Raises:
        UserError: a row says something of some classes only, or something else than 0 and 1; names them.
    """
    found, wrong = list[str](), list[int]()
    for number, row in enumerate(cells):
        bare = [cell in UNLABELLED or cell.lower() in MISSING for cell in row]
        words = [cell.lower() for cell in row]
        if not all(bare) and not all(word in (*ONES, *ZEROS) for word in words):
            wrong.append(number)
        ones = [name for name, word in zip(classes, words, strict=True) if word in ONES]
        found.append("" if all(bare) else written(ones, where))
    if wrong:
        raise UserError(
            f"{where}: the columns {listed(classes, SHOWN)} must hold 0 and 1, all of them or none, not so in "
            f"{at(wrong)} ({len(wrong)} of {len(cells)} rows)"
        )
    return found


def never(classes: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The classes whose column has no 1."""
    return [name for name, column in zip(classes, zip(*cells, strict=True), strict=True) if not any(map(_one, column))]


def _one(cell: str) -> bool:
    return cell.lower() in ONES


def merged(paths: Sequence[str], sets: Sequence[str], where: str) -> list[str]:
    """The sets, each with the labels of all rows of the same image: tables may have a row a label."""
    union: dict[str, set[str]] = {}
    for path, text in zip(paths, sets, strict=True):
        if text:
            union.setdefault(path, set()).update(members(text))
    return [written(union[path], where) if path in union else "" for path in paths]


def of_parts(train: Iterable[str], test: Iterable[str], where: str) -> list[str]:
    """The sets of both parts in their order, as classes are; what means no label is none.

    Raises:
        UserError: the test part has a label that no image of the training part has.
    """
    texts = [{*part} - {*UNLABELLED} for part in (train, test)]
    if lacking := sorted({*named(texts[1])} - {*named(texts[0])}):
        raise UserError(f"{where}: labels of the test part that no training image has: {lacking[:SHOWN]}")
    return class_order(texts[0] | texts[1])


def named(sets: Iterable[str]) -> list[str]:
    """The classes of sets, which are all of their labels, in their order."""
    return class_order({name for text in sets for name in members(text)})


def table(sets: Sequence[str], classes: Sequence[str]) -> Array:
    """(K, C) int64, which of the classes each of K sets has."""
    place = {name: c for c, name in enumerate(classes)}
    has = np.zeros((len(sets), len(classes)), np.int64)
    for k, text in enumerate(sets):
        has[k, [place[name] for name in members(text)]] = 1
    return has


def apart(images: Images) -> Images:
    """Images whose classes are sets of labels, with the labels as classes."""
    classes = named(images.classes)
    return replace(images, classes=classes, sets=table(images.classes, classes))


def takes_all(labels: str) -> bool:
    """Whether `data.labels` asks for all labels that there are, perhaps those of a file."""
    return labels == "all" or labels.startswith(("index:", "file:"))


def asked(labels: str) -> tuple[str, str, str]:
    """How many labels `data.labels` asks for otherwise: of each class, in percent, or in all; two of them are "".

    Raises:
        UserError: it is none of these.
    """
    match = re.fullmatch(r"(\d{1,9})/class|(\d{1,3}(?:\.\d{1,9})?)%|(\d{1,9})", labels.strip())
    if not match:
        raise unlike(labels)
    per_class, percent, total = match.groups("")
    return per_class, percent, total


def unlike(labels: str) -> UserError:
    """That `data.labels` cannot be read."""
    also = "or name a file as index:FILE.csv or file:FILE.csv"
    return UserError(f"data.labels must be like 10/class, 40, 1% or all, {also}; got {labels!r}")


def chosen(labels: str, among: Array, label: Array, sets: Sequence[str], seed: int) -> Array:
    """The labelled images that `data.labels` asks for, of those `among` which have a label; nested in their number.

    Each class has a seeded order of its images, and those without any class are one more. N/class are the first N of
    each, so of a class at least N; of N in all, those that come earliest in the order of any of their classes. A share
    is drawn from all alike.

    Raises:
        UserError: there are fewer, or the request cannot be read.
    """
    known = among[label[among] >= 0]
    if takes_all(labels):
        return known
    per_class, percent, total = asked(labels)
    if not float(per_class or percent or total):
        raise unlike(labels)
    names = named(sets)
    has = table(sets, names)
    drawn = shuffled(known, seed, "labels")
    if percent:
        return drawn[: max(1, round(min(float(percent), 100.0) / 100 * len(known)))]
    own = has[label[drawn]].astype(bool)  # (n, C)
    own = np.concatenate([own, ~own.any(1, keepdims=True)], 1)
    rank = np.where(own, own.cumsum(0), len(drawn) + 1)  # from 1, in the order of each class
    if per_class:
        small = [f"{name!r} ({n})" for name, n in zip(names, own.sum(0).tolist(), strict=False) if n < int(per_class)]
        if small:
            raise UserError(f"data.labels={labels}: fewer images than that have {listed(small, SHOWN)}; all takes them")
        return drawn[(rank <= int(per_class)).any(1)]
    if int(total) > len(known):
        raise UserError(f"data.labels={labels} wants more than the {len(known)} images with labels")
    return drawn[np.argsort(rank.min(1), kind="stable")[: int(total)]]


def share_of(among: Array, share: float, groups: Array | None, seed: int, name: str) -> Array:
    """About that share of the images, drawn from all alike; of groups whole ones, until there are as many."""
    wanted = max(1, round(share * len(among)))
    if groups is None:
        return np.sort(shuffled(among, seed, name)[:wanted])
    order = shuffled(np.unique(groups[among]), seed, name)
    sizes = np.cumsum([(groups[among] == group).sum() for group in order])
    return among[np.isin(groups[among], order[: int(np.searchsorted(sizes, wanted)) + 1])]


def shuffled(index: Array, seed: int, name: str) -> Array:
    """In a seeded order."""
    order: Array = permutation(key(seed, "split", name), len(index)).numpy()
    return np.take(index, order)
