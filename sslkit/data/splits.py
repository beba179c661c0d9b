"""Who is labelled, who is in the pool, who is the test: stratified, seeded, nested, or listed in files.

No pixel is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from sslkit.config import Data
from sslkit.config.data import NO_TEST
from sslkit.data import UNKNOWN, Images, label_sets
from sslkit.data.columns import USUAL
from sslkit.data.held_out import hold_out
from sslkit.data.image import Array
from sslkit.data.imbalance import labels_of_tail, pool_of_tail
from sslkit.data.label_files import first
from sslkit.data.label_sets import shuffled
from sslkit.data.names import NONE, Names
from sslkit.data.tables import read_columns
from sslkit.errors import UserError
from sslkit.randomness import key, permutation
from sslkit.store.anywhere import place


@dataclass(frozen=True)
class Split:
    """Indices into `Images`, each int64; an image's place in `labeled` or `pool` is its index in training."""

    labeled: Array
    pool: Array  # shuffled: folder order is class order
    val: Array
    test: Array
    unknown: Array = field(default_factory=lambda: np.zeros(0, np.int64))  # test images of no class of the labels

    def parts(self) -> dict[str, Array]:
        """Name -> indices; "unknown" only where there are such images."""
        return {name: index for name, index in vars(self).items() if name != "unknown" or len(index)}


def split(images: Images, data: Data, seed: int, groups: Array | None = None, own: Sequence[int] | Array = ()) -> Split:
    """The split that `data` asks for.

    The labels of one seed are nested: the images of 4/class are among those of 10/class. Images that a file lists are
    labelled, or in the pool, whatever the seed.

    Args:
        groups: (N,) int64 of the training part; a group with images in one of test and validation has none elsewhere.
        own: numbers of the images of the training part that are a validation part, where the data bring one.

    Raises:
        UserError: a class is smaller than asked, no labels, or a request or file that cannot be read.
    """
    if len(images.classes) < 2:
        raise UserError(f"there is only one class, {images.classes[0]!r}; classification needs two")
    own = np.asarray(own, np.int64)
    train = np.setdiff1d(np.arange(images.train), own)
    learned = np.unique(images.label[train])
    if (learned >= 0).sum() == 1:
        raise UserError(f"only class {images.classes[learned[-1]]!r} has labelled training images; label another, too")
    test = np.arange(images.train, len(images.label))
    listed, pooled = check_lists(data, images.label[: images.train])
    if any(len(np.intersect1d(some, own)) for some in (listed, pooled) if some is not None):
        raise UserError(f"labels {data.labels}, pool {data.pool}: images of the validation part {data.val} are listed")
    if data.tune:
        free = train if listed is None else np.setdiff1d(train, listed)
        test = _tuning(images, free, seed, groups, listed, data.multilabel)
        train = np.setdiff1d(train, test)
    strange = test[images.label[test] == UNKNOWN]
    test = np.setdiff1d(test, strange)
    if data.test != NO_TEST and not (images.label[test] >= 0).any():
        raise UserError("the test part has no labels, so nothing can be measured")
    share = 0.0 if isinstance(data.val, str) else data.val
    among = train if listed is None else listed
    if data.multilabel:
        chosen = label_sets.chosen(data.labels, among, images.label, images.classes, seed)
        val = label_sets.share_of(chosen, share, groups, seed, "val") if share else chosen[:0]
    else:
        chosen, val = _of_classes(images, among, data, share, groups, seed)
    if isinstance(data.val, str):
        val = own[images.label[own] >= 0]
    elif groups is not None and share:
        train = train[~np.isin(groups[train], groups[val]) | np.isin(train, chosen)]
    labeled = np.setdiff1d(chosen, val)
    if isinstance(data.val, str) and not len(val):
        raise UserError(f"the validation part, data.val={data.val}, has no labels")
    if data.val and not len(val):
        raise UserError(f"data.val={data.val} needs at least two labelled images of some class")
    if pooled is not None:
        train = np.intersect1d(train, pooled)
    rest = np.setdiff1d(np.setdiff1d(train, chosen), left_out(data, lambda: images.names[: images.train]))
    known = images.label[rest] != UNKNOWN
    pool = np.concatenate([pool_of_tail(images, rest[known], data, seed), rest[~known]])
    pool = (
        pool if data.pool.startswith(("complement", "without:")) else np.union1d(pool, np.intersect1d(train, labeled))
    )
    return Split(shuffled(labeled, seed, "labeled"), shuffled(pool, seed, "pool"), val, test, strange)


def _of_classes(
    images: Images, among: Array, data: Data, share: float, groups: Array | None, seed: int
) -> tuple[Array, Array]:
    """The labelled images that `data.labels` asks for, class by class, and a share of them for validation."""
    orders = _by_class(images, among, seed, "labels")
    counts = labels_of_tail(data, _counts(data.labels, [len(order) for order in orders], images.classes, seed))
    held = [_held_out(count, share) for count in counts]
    chosen = np.concatenate([order[:count] for order, count in zip(orders, counts, strict=True)])
    if groups is not None and share:
        return chosen, _of_groups(images, chosen, groups, share, key(seed, "split", "val"))
    return chosen, np.concatenate([o[n - v : n] for o, n, v in zip(orders, counts, held, strict=True)])


def all_in_pool(images: Images, seed: int, own: Sequence[int] | Array = ()) -> Split:
    """The split for images without labels: the training part but for its validation part `own` is the pool."""
    train, none = np.setdiff1d(np.arange(images.train), own), np.zeros(0, np.int64)
    return Split(none, shuffled(train, seed, "pool"), none, np.arange(images.train, len(images.label)))


def _tuning(
    images: Images, among: Array, seed: int, groups: Array | None, listed: Array | None, multilabel: bool
) -> Array:
    """A quarter of each class, or of all with labels where these are sets, which stands in for the test."""
    if multilabel:
        known = among[images.label[among] >= 0]
        if groups is not None and listed is not None:
            known = known[~np.isin(groups[known], groups[listed])]
        return label_sets.share_of(known, 0.25, groups, seed, "tune")
    if groups is None:
        orders = _by_class(images, among, seed, "tune")
        orders.append(shuffled(among[images.label[among] == UNKNOWN], seed, "tune.unknown"))
        return np.sort(np.concatenate([order[: round(len(order) / 4)] for order in orders]))
    free = among if listed is None else among[~np.isin(groups[among], groups[listed])]
    return _of_groups(images, free, groups, 0.25, key(seed, "split", "tune"))


def _of_groups(images: Images, among: Array, groups: Array, share: float, seed: int) -> Array:
    """A share of each class in whole groups, sorted."""
    order = permutation(seed, int(groups.max()) + 1).tolist()
    return among[hold_out(images.label[among], groups[among], share, order)]


def _by_class(images: Images, among: Array, seed: int, name: str) -> list[Array]:
    """For each class its images in a seeded order, of which the first n are taken."""
    label = images.label[among]
    return [shuffled(among[label == c], seed, f"{name}.{c}") for c in range(len(images.classes))]


def _held_out(count: int, share: float) -> int:
    return min(max(1, round(share * count)), count - 1) if share else 0


def _counts(labels: str, sizes: list[int], classes: list[str], seed: int) -> list[int]:
    """Labelled images of every class."""
    if label_sets.takes_all(labels):
        return sizes
    per_class, percent, total = label_sets.asked(labels)
    if percent:
        if not 0 < float(percent) <= 100:
            raise UserError(f"data.labels must be above 0% and at most 100%, got {labels}")
        return [min(size, max(1, round(size * float(percent) / 100))) for size in sizes]
    if per_class:
        counts = [int(per_class)] * len(sizes)
    else:
        share, rest = divmod(int(total), len(sizes))
        first = permutation(key(seed, "split", "rest"), len(sizes))[:rest].tolist()
        counts = [share + (c in first) for c in range(len(sizes))]
    if not sum(counts):
        raise UserError("data.labels asks for 0 labels; semi-supervised learning needs at least one")
    for name, count, size in zip(classes, counts, sizes, strict=True):
        if count > size:
            wanted = f"data.labels={labels} wants {count} images of class {name!r}, which has {size}"
            raise UserError(f"{wanted}; all takes those that there are")
    return counts


def check_lists(data: Data, label: Array) -> tuple[Array | None, Array | None]:
    """Positions of the labelled images and of the pool, each int64 and sorted, where `index:FILE.csv` lists them.

    Source: the files of Semi-ViT's official code, one column `Index` of 0-based positions in the training part.

    Args:
        label: (N,) of the training part, -1 where there is none.

    Raises:
        UserError: a file cannot be read, or a position is out of range, listed twice, or of an image without a label.
    """
    labeled, pool = _positions(data.labels, len(label)), _positions(data.pool, len(label))
    if labeled is not None and (label[labeled] < 0).any():
        bare = labeled[label[labeled] < 0]
        of = " of a known class" if (label[bare] == UNKNOWN).any() else ""
        raise UserError(f"{data.labels}: {len(bare)} of the listed images have no label{of}, the first at {bare[0]}")
    return labeled, pool


def left_out(data: Data, names: Callable[[], Sequence[str]]) -> Array:
    """Numbers of the training images that `data.pool`, as without:FILE.csv, takes out of the pool; labels stay theirs.

    Args:
        names: gives those of the training part, of which a row names one as in a file of labels.

    Raises:
        UserError: the file cannot be read, or a row names no image, or several.
    """
    kind, _, file = data.pool.partition(":")
    if kind != "without":
        return np.zeros(0, np.int64)
    images = Names(names())
    table = read_columns(place(file), {"path": USUAL["path"]}, is_image=lambda cell: images.place(cell) != NONE)
    return images.match(file, table["path"], table.where)


def _positions(text: str, count: int) -> Array | None:
    kind, _, file = text.partition(":")
    if kind != "index":
        return None
    words = read_columns(place(file), {"index": ("index",)})["index"]
    numbers = [int(word) if word.isdecimal() and len(word) < 19 else -1 for word in words]
    wrong = [word for word, n in zip(words, numbers, strict=True) if not 0 <= n < count]
    if wrong:
        raise UserError(f"{file}: its column Index must hold positions from 0 to {count - 1}, it lists {first(wrong)}")
    found, times = np.unique(np.array(numbers, np.int64), return_counts=True)
    if len(found) < len(numbers):
        raise UserError(f"{file} lists position {found[times > 1][0]} more than once")
    return found
