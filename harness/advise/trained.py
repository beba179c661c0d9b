"""Rows that are trained, judged by folds: the stages of a run as it would be, with the held-out images as its test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sslkit.config import Control
from sslkit.config.duration import duration
from sslkit.data.image import Array
from sslkit.data.splits import Split
from sslkit.errors import Stopped
from sslkit.machine import Machine
from sslkit.prepare import Prepared
from sslkit.record.stages import Stage, stages
from sslkit.store import Store, checkpoint
from sslkit.terminal.screen import Interrupt, Screen
from sslkit.training.timing import step_seconds
from sslkit.training.work import train

ROWS = ("finetune", "semi")
FOLDS = 4
LEAST = 1 / 3  # of the default steps; a row that has no time for more is left out


class Trained:
    """Runs of the default method on three quarters of the labels each; stages that rows share are trained once.

    A fold's held-out images are neither labelled nor in the pool. The test images are not looked at.

    Args:
        prepared: with the default stages, and every labelled image in its split.
        fold: (n,) int64 of `prepared.split.labeled`, -1 where an image is never held out.
        store: its features are used; what is trained is kept beside it, until `close`.
    """

    def __init__(self, prepared: Prepared, machine: Machine, fold: Array, store: Store, screen: Screen) -> None:
        self.machine, self.fold, self.screen = machine, fold, screen
        self.prepared = replace(prepared, config=replace(prepared.config, control=Control()))  # no row needs it
        self.features, self.root = store.features, tempfile.TemporaryDirectory(dir=store.root, prefix=".advise-")
        self.store = Store(self.root.name)
        self.store.prepare()

    def close(self) -> None:
        """Remove what was trained."""
        self.root.cleanup()

    def plan(self, rows: Sequence[str], left: Callable[[], float], image: float) -> tuple[dict[str, int], str]:
        """Stage -> steps of it, for as many of the rows as there is time for; and why there are no more.

        Each has its default steps, or as large a share of them, at least `LEAST`, as there is time for.

        Args:
            left: gives the seconds that are left.
            image: seconds of one image's features, 0 where they are not known: what is far too slow is not timed.
        """
        fits, why, total, own = dict[str, float](), "", 0.0, self._fold(0)
        for stage in stages(own, self.machine):
            if stage.label not in rows:
                continue
            steps = stage.spec.training["steps"]
            more = 2 * image * stage.spec.images_a_step * steps  # at least: forward and backward
            if LEAST * FOLDS * (total + more) < left():
                more = steps * step_seconds([stage.spec], own.images, own.split)[stage.spec.key].step
            total += more
            needed = LEAST * FOLDS * total
            if needed > left():
                why = f"{stage.label} needs about {duration(needed)} for {FOLDS} folds, and {duration(left())} are left"
                break
            fits[stage.label] = total
        share = min(1.0, left() / (FOLDS * max(fits.values()))) if fits else 0.0
        return {name: max(1, int(share * getattr(own.config, name).steps)) for name in fits}, why

    def by_folds(self, row: str, steps: Mapping[str, int]) -> Array:
        """(n,) as of `Known.by_folds`, trained for so many steps.

        Raises:
            UserError: a part refuses its options, memory is not enough, a loss is not finite.
            Stopped: interrupted.
        """
        found = np.full(len(self.fold), np.nan)
        with Interrupt() as stop:
            for number in range(int(self.fold.max()) + 1):
                own = self._fold(number)
                lengths = {name: replace(getattr(own.config, name), steps=n) for name, n in steps.items()}
                config = replace(own.config, **lengths)
                todo = stages(replace(own, config=config), self.machine)
                names = [stage.label for stage in todo]
                for stage in todo[: names.index(row) + 1]:
                    if stop():
                        raise Stopped("stopped; what was trained for folds is not kept")
                    self._train(stage, todo, own, stop, number)
                folder = self.store.stages / todo[names.index(row)].spec.key
                seen = checkpoint.load(folder / "predictions.safetensors")[0]
                found[self.fold == number] = (seen["averaged"].argmax(1) == seen["label"]).numpy()
        return found

    def _train(self, stage: Stage, todo: list[Stage], own: Prepared, stop: Interrupt, number: int) -> None:
        label = f"{stage.label} {number + 1}/{int(self.fold.max()) + 1}"
        with self.store.working(stage.spec.key, lambda: None) as work:
            if work is not None:
                parent = next((self.store.stages / s.spec.key for s in todo if s.label == stage.parent), None)
                with self.screen.bar(replace(stage, label=label)) as bar:
                    train(
                        stage.spec, own.images, own.split, work, parent, stage.weights, self.features,
                        save_every=np.inf, report=bar, stop=stop, say=lambda sentence: None,
                    )  # fmt: skip

    def _fold(self, number: int) -> Prepared:
        """The data with the images of a fold as its test part."""
        whole, out = self.prepared.split, self.fold == number
        rest = np.setdiff1d(whole.pool, whole.labeled[out], assume_unique=True)
        pool = whole.pool[np.isin(whole.pool, rest)]  # in its order
        none = whole.val[:0]
        return replace(self.prepared, split=Split(whole.labeled[~out], pool, none, whole.labeled[out]))
