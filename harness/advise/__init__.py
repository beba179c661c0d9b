"""What to do with the labels that there are: methods judged on images that they were not fitted to."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from sslkit.errors import UserError
from sslkit.machine import resolve_machine
from sslkit.prepare import prepare
from sslkit.recipes import layers
from sslkit.store import PathLike, Store
from sslkit.terminal.introduction import introduction
from sslkit.terminal.screen import Screen


def advise(
    request: Mapping[str, Any],
    plugins: tuple[str, ...] = (),
    runs: PathLike = "runs",
    until: float = float("inf"),
    console: Console | None = None,
) -> dict[str, Any]:
    """Which method to use for the data of a request, as `words.advice` has it.

    Args:
        request: configuration by key, as of `sslkit.run`, without what advise decides itself.
        plugins: files that register parts.
        runs: root of the store.
        until: `time.perf_counter()` at which no row is begun that would not end before it, about.

    Raises:
        UserError: anything in the request that cannot be, labels that are too few, too short a time.
        Stopped: interrupted.
    """
    begun = time.perf_counter()
    from sslkit.harness.advise.ladder import Ladder
    from sslkit.harness.advise.words import advice, command

    screen, store = Screen(console), Store(runs)
    with screen.watching():
        prepared = prepare(layers(None, None, request, plugins), store.data)
    if not len(prepared.split.test):
        raise UserError("data.test=none measures nothing, and advice is measured once on a test; drop it")
    if prepared.config.data.multilabel:
        raise UserError(
            "sslkit advise compares methods for images of one class each; with several labels train with run"
        )
    machine = resolve_machine(prepared.config)
    machine.use()
    store.prepare()
    ladder = Ladder(prepared, machine, store, screen, begun, lambda: until - time.perf_counter())
    for line in introduction(prepared, machine, [ladder.stage.spec]):
        screen.say(line)
    found = ladder.climb()
    run = command(found.best, request, prepared.config.stages, plugins, str(runs))
    return advice(found, run)
