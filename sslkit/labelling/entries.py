"""What files of labelling tools say of images, and the one class that becomes of it.

An entry is an image. What a table of classes cannot hold is counted by reason, and so is every decision that was taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from sslkit.errors import listed

# Why an image has no label, or what of it was left out. The first ones decide.
SEVERAL = "several classes, so no label"
DISAGREE = "annotators disagree, so no label"
MAJORITY = "annotators disagree, the label of more than half"
NO_NAME = "a class whose name means none, as nan or -1, so no label"
PREDICTED = "predicted, confirmed by nobody, so no label"
SKIPPED = "skipped by an annotator"
SHAPES = "boxes, masks or other shapes, left out"
OTHER = "texts, ratings or attributes, left out"
TWICE = "in several entries, one row"
PARTS = ("train", "training", "val", "valid", "validation", "test", "testing")  # in any case of letters
NO_LABELS = ("", "nan", "NaN", "<NA>", "-1")  # what means no label where the table is read


@dataclass(frozen=True)
class Entry:
    """An image of a file.

    Args:
        name: how it is called where no image is there to be compared.
        votes: of each annotator who gave classes, these.
        names: under which it may be stored, tried before `name`.
        split: "" where the file has no parts.
        lost: reasons of the list above.
    """

    name: str
    votes: tuple[tuple[str, ...], ...] = ()
    names: tuple[str, ...] = ()
    split: str = ""
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """A row an image, in the order of the file; and the images that a reason holds for."""

    paths: list[str]
    labels: list[str]  # "" is none
    splits: list[str]
    entries: int  # that became these rows
    reasons: dict[str, list[str]] = field(default_factory=dict)

    @property
    def labelled(self) -> int:
        return sum(map(bool, self.labels))

    @property
    def parted(self) -> bool:
        """Whether the splits are the parts of a data set."""
        found = {split.lower() for split in self.splits}
        return found <= {*PARTS} and bool(found & {*PARTS[:2]}) and len(found) > 1

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The names of the columns, and rows as `sslkit.data.tables` reads them."""
        rows = zip(self.paths, self.labels, self.splits, strict=True)
        header = ["path", "label", "split"] if self.parted else ["path", "label"]
        return header, [list(row[: len(header)]) for row in rows]

    def said(self, most: int = 3) -> list[str]:
        """A sentence a reason, with the first images."""
        return [
            f"{reason}: {len(names)} of {len(self.paths)} images ({listed(names, most)})"
            for reason, names in self.reasons.items()
        ]


def settle(entries: Sequence[Entry], has: Callable[[str], bool] | None = None, *, majority: bool = False) -> Settled:
    """One row an image, with the class that its annotators agree on.

    Entries that come to one path in one part are of one image, and their votes are counted together.

    Args:
        has: whether a name means an image; of an entry the first such name is taken.
        majority: where annotators disagree, the class that more than half of them gave.
    """
    together = dict[tuple[str, str], list[Entry]]()
    for entry, path in zip(entries, _paths(entries, has), strict=True):
        together.setdefault((path, entry.split), []).append(entry)
    reasons = dict[str, list[str]]()
    labels = list[str]()
    for (path, _), same in together.items():
        label, why = _decided([vote for entry in same for vote in entry.votes], majority)
        lost = {reason for entry in same for reason in entry.lost} - ({PREDICTED} if label or why else set())
        labels.append(label)
        for reason in (*([why] if why else []), *([TWICE] if len(same) > 1 else []), *sorted(lost)):
            reasons.setdefault(reason, []).append(path)
    paths, splits = [path for path, _ in together], [split for _, split in together]
    return Settled(paths, labels, splits, len(entries), reasons)


def _paths(entries: Sequence[Entry], has: Callable[[str], bool] | None) -> list[str]:
    """The first name of each entry that means an image; else its own, or its fullest where several would have one."""
    images = dict[str, set[str]]()
    for entry in entries:
        images.setdefault(entry.name, set()).add(_fullest(entry))
    paths = [_fullest(entry) if len(images[entry.name]) > 1 else entry.name for entry in entries]
    if has is None:
        return paths
    found = ([name for name in (*entry.names, entry.name) if has(name)] for entry in entries)
    return [names[0] if names else path for names, path in zip(found, paths, strict=True)]


def _fullest(entry: Entry) -> str:
    return entry.names[0] if entry.names else entry.name


def _decided(votes: Sequence[tuple[str, ...]], majority: bool) -> tuple[str, str]:
    """The class of an image, and the reason why it has this one or none; "" where there is nothing to say."""
    given = Counter(tuple(sorted({*vote})) for vote in votes if vote)
    if not given:
        return "", ""
    most, count = given.most_common(1)[0]
    if len(given) > 1 and not (majority and 2 * count > given.total()):
        return "", DISAGREE
    if len(most) > 1:
        return "", SEVERAL
    if most[0].strip() in NO_LABELS:
        return "", NO_NAME
    return most[0].strip(), MAJORITY if len(given) > 1 else ""


def kinds(found: Iterable[str]) -> tuple[str, ...]:
    """Reasons, each once, in order."""
    return tuple(dict.fromkeys(found))
