"""Recipes: published settings as configuration files, one a module of this folder; `sslkit run --recipe NAME`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import PARTS, Flat
from sslkit.config.duration import in_seconds, refuse_steps
from sslkit.config.resolve import SLOTS, named, options, read_toml
from sslkit.errors import unknown
from sslkit.plugins import load_plugin

FOLDER = Path(__file__).parent
NO_PART = ("auto", "full")  # names that stand for none
HEADS = ("Here", "Source", "Published", "Protocol", "Hardware", "Deviations")


def recipes() -> dict[str, Path]:
    """Name -> file."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def about(name: str) -> dict[str, str]:
    """What a recipe's opening comment says: title, here, source, published, protocol, hardware, deviations.

    `here` is what it gave in this project, or "not run": accuracy, seeds, hardware, seconds a step and date.
    """
    found, key = {"title": ""}, "title"
    for line in recipes()[name].read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        head, colon, rest = text.partition(":")
        if colon and head in HEADS:
            key, text = head.lower(), rest.strip()
        found[key] = f"{found.get(key, '')} {text}".strip()
    return found


def layers(
    recipe: str | None,
    config: str | os.PathLike[str] | None,
    request: Mapping[str, Any],
    plugins: Iterable[str | os.PathLike[str]] = (),
    say: Callable[[str], None] = lambda sentence: None,
) -> Flat:
    """What is asked for, by key: `request` over the file `config` over the recipe.

    Options of a part that the request replaces are left out with it, unless its successor has them, too.

    Args:
        plugins: files whose parts it may name; they are loaded.
        say: given a sentence on what is left out, and on a run whose file it is that is not gone on with.

    Raises:
        UserError: there is no such recipe or file, or a plug-in file cannot be loaded.
    """
    for plugin in plugins:
        load_plugin(plugin)
    flat: Flat = {}
    if recipe is not None:
        if recipe not in recipes():
            raise unknown("recipe", recipe, recipes(), see="sslkit list recipes")
        flat |= read_toml(recipes()[recipe])
    refuse_steps(named(request))
    file, asked = read_toml(config) if config else {}, named(request)
    beneath = flat | file
    gone = _replaced(beneath, asked)
    if config and (Path(config).parent / "run.json").is_file():
        apart = [f"{key} {file[key]} -> {asked[key]}" for key in asked if key in file and file[key] != asked[key]]
        if apart:
            say(f"{Path(config).parent.name} is not gone on with, this is another run: {', '.join(apart)}")
    if gone:
        say(f"of other parts than those asked for, and left out: {', '.join(f'{k}={beneath[k]}' for k in gone)}")
    return in_seconds({k: v for k, v in beneath.items() if k not in gone} | asked)


def _replaced(beneath: Flat, asked: Flat) -> list[str]:
    """Keys of `beneath` that are options of a part in whose place `asked` has another, or of a slot that is gone.

    An option that both parts have stays, unless it is what the old one has by default: a run's file names all.
    """
    gone: list[str] = []
    if "algo.name" in asked:
        slots = registry.load("algorithm", str(asked["algo.name"])).slots
        gone = [key for key in beneath if key not in asked and key.partition(".")[0] in {*SLOTS} - slots.keys()]
    for section, kind in PARTS.items():
        old, new = (str(flat.get(f"{section}.name", "")) for flat in (beneath, asked))
        if old and new and old != new:
            before, now = (options(registry.load(kind, n)) if n not in NO_PART else {} for n in (old, new))
            own = {key: key.partition(".")[2] for key in beneath if key.startswith(f"{section}.") and key not in asked}
            gone += [
                key
                for key, name in own.items()
                if key not in gone and (name not in now or (name in before and before[name].default == beneath[key]))
            ]
    return gone
