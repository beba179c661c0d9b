"""A run from request to results: its life reads here from top to bottom. It knows no algorithm by name."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from sslkit.errors import Lost, Stopped, UserError
from sslkit.machine import ranks
from sslkit.prepare import Prepared, prepare
from sslkit.recipes import layers
from sslkit.record import Place, begin, decide, not_gone_on, place_of
from sslkit.record.results import conclude, read_results
from sslkit.record.stages import Stage, stages
from sslkit.record.tracking import Tracking
from sslkit.store import PathLike, Store, read_json
from sslkit.terminal.screen import Interrupt, Screen
from sslkit.training.work import check_adapter, train


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    results: dict[str, Any]


def run(
    request: Mapping[str, Any] | None = None,
    *,
    recipe: str | None = None,
    config: PathLike | None = None,
    plugins: Sequence[PathLike] = (),
    runs: PathLike = "runs",
    name: str | None = None,
    again: bool = False,
    save_every: float = 120.0,
    keep: bool = False,
    console: Console | None = None,
    **keys: Any,
) -> Run:
    """Train what is asked for, or show it where it is finished; what was interrupted is gone on with.

    Args:
        request: configuration by key, as in {"algo": "fixmatch", "semi.lr": 1e-3}.
        recipe: name of a recipe, beneath `config`.
        config: a TOML file beneath `request`.
        plugins: files that register parts.
        runs: root of the store.
        name: beginning of the run folder's name.
        again: repeat a finished run beside the first and compare the weights.
        save_every: seconds between checkpoints.
        keep: train stages again whose weights a comparison dropped.
        keys: as `request`, for keys without a dot: run(algo="fixmatch", seed=3).

    Raises:
        UserError: anything in the request that cannot be, a full disk, a loss that is not finite.
        Stopped: interrupted; the same call goes on.
    """
    began = time.perf_counter()
    with ranks.group():
        screen = Screen(console if ranks.leads() else Console(quiet=True))
        asked = layers(recipe, config, {**(request or {}), **keys}, plugins, screen.say)
        if not save_every >= 0:
            raise UserError(f"--save-every is a number of seconds and must be 0 or more, got {save_every}")
        store = Store(runs)
        tracking = Tracking(screen.say)
        ranks.led(lambda: tracking.choose(str(asked.get("track") or "")))
        with screen.watching():
            prepared = ranks.leader_first(lambda: prepare(asked, store.data))
        place = ranks.led(lambda: place_of(store, prepared, name, again=again, keep=keep))
        if said := not_gone_on(config, place, prepared):
            screen.say(said)
        if place.finished:
            screen.say(f"{place.folder} is finished; --again repeats it")
            results = ranks.led(lambda: read_results(place.folder))
            with tracking.of(store, place.folder, prepared.config):
                tracking.conclude(store.stages, results)
            return Run(place.folder, results)
        with screen.status("timing steps, to fill the time"):
            machine = ranks.led(lambda: decide(place, prepared, began))
        if ranks.leads():
            todo = stages(prepared, machine)
            check_adapter(todo[-1].spec)
            new = [stage.label for stage in todo if not store.begun(place.key(stage))]
            screen.introduce(prepared, machine, todo, new, store.data)
        machine = ranks.led(lambda: begin(store, place, prepared, machine, screen.say))
        machine.use()
        todo = stages(prepared, machine)
        ranks.agree([stage.spec.key for stage in todo])
        with Interrupt() as stop:
            wanted = {stage.label for stage in todo} if keep else _starts(store, todo, place)
            with tracking.of(store, place.folder, prepared.config):
                rows = _train(store, todo, prepared, place, save_every, stop, screen, tracking, wanted)
                results = ranks.led(lambda: conclude(store, place, prepared.config, machine, rows, again=again))
                tracking.conclude(store.stages, results)
        if again:
            screen.say(results["repeats"])
        return Run(place.folder, results)


def _train(
    store: Store,
    todo: Sequence[Stage],
    prepared: Prepared,
    place: Place,
    save_every: float,
    stop: Interrupt,
    screen: Screen,
    tracking: Tracking,
    wanted: Collection[str | None],
) -> list[dict[str, Any]]:
    """Train the stages that are missing, and those of which the weights are `wanted` and missing; all their results."""
    rows: list[dict[str, Any]] = []
    while len(rows) < len(todo):
        stage = todo[len(rows)]
        if ranks.anyone(stop()):
            raise Stopped(f"stopped before {stage.label}")
        key = place.key(stage)
        waiting = partial(screen.say, f"another process trains {stage.label}; waiting for it")
        try:
            with ranks.lead(store.working(key, waiting, stage.label in wanted)) as work:
                if work is not None:
                    parent = next((store.stages / place.key(s) for s in todo if s.label == stage.parent), None)
                    own = prepared.of(stage.label)
                    with screen.bar(stage) as bar:
                        train(
                            stage.spec, own.images, own.split, work, parent, stage.weights, store.features,
                            save_every=save_every, report=bar, stop=stop, say=screen.say,
                            saved=partial(tracking.follow, stage.label),
                        )  # fmt: skip
        except Lost as error:
            if ranks.count() > 1:  # the others are within the stage
                raise
            screen.say(f"{stage.label}: {error}")
            continue
        tracking.follow(stage.label, store.stages / key / "metrics.jsonl")
        found = read_json(store.stages / key / "result.json")
        rows.append({"stage": stage.label, "method": stage.method, "key": key, "new": work is not None, **found})
    return rows


def _starts(store: Store, todo: Sequence[Stage], place: Place) -> set[str | None]:
    """Labels of the stages from which others that are to be trained start."""
    found: set[str | None] = set()
    for stage in reversed(todo):
        if not store.there(place.key(stage), stage.label in found):
            found.add(stage.parent)
    return found
