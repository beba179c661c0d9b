"""The ladder: methods from the fastest to the slowest, each judged on labelled images that it was not fitted on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sslkit.config.duration import duration
from sslkit.data.image import Array
from sslkit.errors import UserError
from sslkit.harness.advise import frozen, trained
from sslkit.harness.advise.folds import folds
from sslkit.harness.advise.frozen import Known, uses_pool
from sslkit.harness.advise.numbers import accuracy
from sslkit.harness.advise.trained import Trained
from sslkit.machine import Machine
from sslkit.prepare import Prepared
from sslkit.record.stages import stages
from sslkit.store import Store
from sslkit.terminal.screen import Screen
from sslkit.training.features import BATCH, Features
from sslkit.training.stage import build_algorithm

FOLDS = 10  # at most, of rows on features
POOL, POOL_SHARE = 10_000, 0.3  # images without a label whose features are computed, at most; and share of the time


@dataclass(frozen=True)
class Row:
    """A method that was judged."""

    name: str
    right: Array  # (n,) 1, 0, or nan where an image was not judged
    folds: int
    seconds: float  # that a run of it takes from here on, about
    steps: Mapping[str, int] = field(default_factory=dict)  # stage -> steps, where they are not the default


@dataclass
class Found:
    """What the ladder gave."""

    rows: list[Row]
    labels: int
    again: Mapping[str, Row] = field(default_factory=dict)  # linear and the best on features, by trained rows' folds
    curve: Mapping[float, Array] = field(default_factory=dict)  # of `linear`, as of `Known.curve`
    pool: int = 0  # images without a label that were used
    remarks: list[str] = field(default_factory=list)

    @property
    def best(self) -> Row:
        """The row to use: the most accurate, of equal ones the faster.

        A trained one is compared with the best on features by the folds that they share.
        """
        on_features = best([row for row in self.rows if row.name in frozen.ROWS])
        slow = [row for row in self.rows if row.name in trained.ROWS]
        chosen = best([self.again[on_features.name], *slow]) if slow else on_features
        return on_features if chosen.name == on_features.name else chosen

    def beside(self, row: Row) -> Row | None:
        """`linear` by the same folds, if it was judged."""
        fits = self.again if row.name in trained.ROWS else {other.name: other for other in self.rows}
        return fits.get("linear")


def best(rows: Sequence[Row]) -> Row:
    """The most accurate, of equal ones the first."""
    return max(rows, key=_mean)


def _mean(row: Row) -> float:
    return float(np.nanmean(row.right))


class Ladder:
    """Climbs as far as the time goes.

    Args:
        begun: `time.perf_counter()` at the start.
        left: gives the seconds that are left of the time.
    """

    def __init__(
        self,
        prepared: Prepared,
        machine: Machine,
        store: Store,
        screen: Screen,
        begun: float,
        left: Callable[[], float],
    ) -> None:
        self.prepared, self.machine, self.store, self.screen, self.left = prepared, machine, store, screen, left
        self.seed, self.begun = prepared.config.seed, begun
        stage = stages(replace(prepared, config=replace(prepared.config, stages="probe")), machine)[0]
        network = build_algorithm(stage.spec, None, stage.weights)[1].network
        self.stage, self.find = stage, Features(network, stage.spec, prepared.images, store.features)

    def climb(self) -> Found:
        """Judge all rows that there is time for; each is said as soon as it is there.

        Raises:
            UserError: no class has two labels, the time is too short for the first row, or what a run raises.
            Stopped: interrupted.
        """
        split, label = self.prepared.split, self.prepared.images.label[self.prepared.split.labeled]
        fold = folds(label, FOLDS, self.seed)
        found = Found([], len(label), remarks=self._alone(label, fold))
        known = Known(
            self.find.network,
            self._labeled(split.labeled),
            torch.from_numpy(label),
            self._none(),
            len(self.prepared.images.classes),
        )
        for name in (name for name in frozen.ROWS if not uses_pool(name)):
            self._judge(found, known, name, fold)
        if not found.rows:
            raise UserError(f"--time is too short to judge {frozen.ROWS[0]} by {fold.max() + 1} folds; give it more")
        if any(row.name == "linear" for row in found.rows) and self.left() > 0:
            found.curve = self._curve(known, found, fold)
        if len(split.pool):
            known = replace(known, pool=self._pool(found, split.pool))
        else:
            found.remarks.append("there are no images without a label: rows that learn from them are left out")
        for name in (name for name in frozen.ROWS if uses_pool(name) and len(known.pool)):
            self._judge(found, known, name, fold)
        self._train(found, known, label)
        return found

    def _alone(self, label: Array, fold: Array) -> list[str]:
        """What is said of classes with a single label.

        Raises:
            UserError: all are such.
        """
        single = [self.prepared.images.classes[c] for c in label[fold < 0]]
        if len(single) == len(label):
            raise UserError(
                f"{len(single)} classes have a single label each, so nothing is left to judge by: label another of each"
            )
        if not single:
            return []
        return [f"of the classes with a single label it is fitted to, and not judged: {', '.join(single)}"]

    def _none(self) -> Tensor:
        return torch.zeros(0, self.find.network.feature_dim)

    def _labeled(self, index: Array) -> Tensor:
        """Features of the labelled images; a first batch tells whether there is time for them.

        Raises:
            UserError: there is not.
        """
        with self._bar("labelled"):
            self.find(index[:BATCH])
        needed = self._image() * len(index[BATCH:])
        if needed > self.left():
            raise UserError(
                f"--time is too short: reading the images took {duration(time.perf_counter() - self.begun)}, and "
                f"features of {len(index)} labelled images need about {duration(needed)} more; give it "
                f"{duration(needed - self.left() + 2)} more"
            )
        with self._bar("labelled"):
            found = self.find(index)
        self.screen.say(str(self.find.done))
        return found

    def _image(self) -> float:
        """Seconds of one image's features; 0 where all were in the store."""
        done = self.find.done
        return done.seconds / done.new if done.new else 0.0

    def _pool(self, found: Found, index: Array) -> Tensor:
        """Features of the pool; of a large one of as many images as there is time for, in its seeded order."""
        before = self.find.done.new
        with self._bar("unlabelled"):
            self.find(index[:BATCH])
        new = self.find.done.new > before
        room = POOL_SHARE * self.left() / self._image() if new else np.inf
        found.pool = max(min(len(index), BATCH), int(min(len(index), POOL, room)))
        with self._bar("unlabelled"):
            made = self.find(index[: found.pool])
        if found.pool < len(index):
            found.remarks.append(
                f"of {len(index):,} images without a label rows on features use {found.pool:,}, drawn by the seed; "
                "a run takes all"
            )
        return made

    @contextmanager
    def _bar(self, label: str) -> Iterator[None]:
        """A bar for the pass of features, if one is needed."""
        with self.screen.bar(replace(self.stage, label=label)) as bar:
            self.find.report = lambda done, total: bar(done, {"total": total})
            yield

    def _judge(self, found: Found, known: Known, name: str, fold: Array) -> None:
        begun, number = time.perf_counter(), int(fold.max()) + 1
        known.right(name, fold != 0, fold == 0)
        took = time.perf_counter() - begun
        if number * took > self.left():
            needed = f"{number} folds need about {duration(number * took)}"
            found.remarks.append(f"{name} is left out: {needed}, and {duration(max(0.0, self.left()))} are left")
            return
        right = known.by_folds(name, fold)
        images = len(self.prepared.split.test) + (len(self.prepared.split.pool) - found.pool if uses_pool(name) else 0)
        row = Row(name, right, number, took + images * self._image())
        found.rows.append(row)
        self._say(row)

    def _say(self, row: Row) -> None:
        share, n = accuracy(row.right), int((~np.isnan(row.right)).sum())
        self.screen.say(
            f"{row.name}: {100 * share.value:.1f}% of {n} labelled images right, each by a fit without it "
            f"(95% interval {100 * share.low:.1f} to {100 * share.high:.1f})"
        )

    def _curve(self, known: Known, found: Found, fold: Array) -> Mapping[float, Array]:
        """Of `linear` with fewer labels, and with all but a fold."""
        right = next(row.right for row in found.rows if row.name == "linear")
        fitted = float(np.mean([(fold != number).sum() for number in range(fold.max() + 1)]))
        return {**known.curve("linear", self.seed), fitted: right}

    def _train(self, found: Found, known: Known, label: Array) -> None:
        """The rows that are trained, and the best on features by the same folds, to compare with."""
        fold = folds(label, trained.FOLDS, self.seed)
        rows = trained.ROWS if len(self.prepared.split.pool) else trained.ROWS[:1]
        runs = Trained(self.prepared, self.machine, fold, self.store, self.screen)
        try:
            with self.screen.status("timing steps, to see what there is time for"):
                steps, why = runs.plan(rows, self.left, self._image())
            if why:
                found.remarks.append(
                    f"{why}: it is left out" + ("" if "semi" in why or len(rows) == 1 else ", and semi with it")
                )
            for name in steps:
                begun = time.perf_counter()
                seen = runs.by_folds(name, steps)
                took = (time.perf_counter() - begun) / (fold.max() + 1)
                before = next((row.seconds for row in found.rows if row.name == "finetune"), 0.0)
                row = Row(name, seen, int(fold.max()) + 1, took + before, _changed(self.prepared, steps, name))
                found.rows.append(row)
                self._say(row)
        finally:
            runs.close()
        on_features = {row.name: row for row in found.rows if row.name in frozen.ROWS}
        for name in {"linear", best([*on_features.values()]).name} & on_features.keys() if steps else ():
            again = replace(on_features[name], right=known.by_folds(name, fold), folds=int(fold.max()) + 1)
            found.again = {**found.again, name: again}


def _changed(prepared: Prepared, steps: Mapping[str, int], row: str) -> dict[str, int]:
    """Stage -> steps, of the stages of a row, where they are not the default."""
    own = [name for name in steps if name in (row, "finetune")]
    return {name: steps[name] for name in own if steps[name] != getattr(prepared.config, name).steps}
