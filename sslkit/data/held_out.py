"""A share of every class, held out for a test: stratified, seeded, and never a part of a group."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

from sslkit.data.csv_files import composed
from sslkit.data.image import Array
from sslkit.errors import UserError

Members = list[tuple[int, int]]  # (class, number of images of it)


def hold_out(label: Array, group: Array, share: float, order: Sequence[int]) -> Array:
    """(N,) bool, which images are held out: about `share` of each class that has two images, one at least.

    Whole groups are taken one after the other, each where it brings the classes nearer to their share and leaves all of
    them an image. A class that still has none gets its smallest group. Without groups, the shares are exact.

    Args:
        label: (N,) int64, -1 where there is none; a group goes with all its images, labelled or not.
        group: (N,) int64 from 0, the group of each image.
        order: the groups, in the order in which they are tried.
    """
    sizes = np.bincount(label[label >= 0]).tolist()
    wanted = [min(max(1, round(share * size)), size - 1) if size > 1 else 0 for size in sizes]
    have = [0] * len(sizes)
    members = _members(label, group)
    taken = set()

    def room(inside: Members) -> bool:
        return all(have[c] + n < sizes[c] for c, n in inside)

    def take(chosen: int) -> None:
        taken.add(chosen)
        for c, n in members[chosen]:
            have[c] += n

    for g in order:
        inside = members.get(g, [])
        gain = sum(abs(wanted[c] - have[c]) - abs(wanted[c] - have[c] - n) for c, n in inside)
        if gain > 0 and room(inside):
            take(g)
    for c in range(len(sizes)):
        if wanted[c] and not have[c]:
            sizes_of = {g: sum(n for _, n in members[g]) for g in members if any(k == c for k, _ in members[g])}
            fits = [g for g in sorted(sizes_of, key=lambda g: sizes_of[g]) if g not in taken and room(members[g])]
            if fits:
                take(fits[0])
    return np.isin(group, sorted(taken))


def drawn_out(label: Array, group: Array, share: float, order: Sequence[int]) -> Array:
    """(N,) bool as `hold_out`, but of all images with a label alike, whole groups in their order: of sets of labels."""
    taken, left = set[int](), max(1, round(share * int((label >= 0).sum())))
    sizes = np.bincount(group[label >= 0], minlength=int(group.max(initial=0)) + 1).tolist()
    for g in order:
        if left > 0 and sizes[g]:
            taken.add(g)
            left -= sizes[g]
    return np.isin(group, sorted(taken))


def _members(label: Array, group: Array) -> dict[int, Members]:
    """Group -> the classes of its labelled images, and how many of each."""
    known = label >= 0
    pairs, counts = np.unique(np.stack([group[known], label[known]]), axis=1, return_counts=True)
    members: dict[int, Members] = {}
    for g, c, n in zip(*pairs.tolist(), counts.tolist(), strict=True):
        members.setdefault(g, []).append((c, n))
    return members


def by_name(names: Sequence[str]) -> list[int]:
    """The order of names by a hash of each, so that an image that comes or goes leaves the others their places."""
    hashes = [hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest() for name in names]
    return sorted(range(len(names)), key=hashes.__getitem__)


def numbered(groups: Sequence[str]) -> tuple[Array, list[str]]:
    """(N,) int64 number of each group, and the groups' names by number."""
    place: dict[str, int] = {}
    number = np.array([place.setdefault(group, len(place)) for group in groups], np.int64)
    return number, list(place)


def found_in(key: str, pattern: str, names: Sequence[str]) -> list[str]:
    """(N,) what the pattern's first brackets find in each name, or all that it finds; "" where it finds nothing.

    Accents are composed in both.

    Args:
        key: whose value the pattern is, for the messages: `data.groups`, `data.classes`.

    Raises:
        UserError: the pattern is none, or finds nothing in any name.
    """
    try:
        expression = re.compile(composed(pattern))
    except re.error as error:
        raise UserError(f"{key}={pattern!r} is no regular expression: {error}") from None
    matches = [expression.search(composed(name)) for name in names]
    found = [m.group(min(1, expression.groups)) or m.group(0) if m else "" for m in matches]
    if not any(found):
        raise UserError(f"{key}={pattern!r} is found in no name; names are like {names[0]!r}")
    return found
