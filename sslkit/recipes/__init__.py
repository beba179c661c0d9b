"""Recipes: published settings as configuration files, one a module of this folder; `sslkit run --recipe NAME`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sslkit.config import Flat
from sslkit.config.duration import in_seconds, refuse_steps
from sslkit.config.resolve import named, read_toml
from sslkit.errors import UserError, unknown
from sslkit.plugins import load_plugin
from sslkit.recipes.replaced import check_lengths, differing, replaced

FOLDER = Path(__file__).parent
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


def file_of(config: str | os.PathLike[str]) -> Path:
    """The configuration file, also where the folder of a run is named."""
    return Path(config) / "config.toml" if Path(config).is_dir() else Path(config)


def layers(
    recipe: str | None,
    config: str | os.PathLike[str] | None,
    request: Mapping[str, Any],
    plugins: Iterable[str | os.PathLike[str]] = (),
    say: Callable[[str], None] = lambda sentence: None,
) -> Flat:
    """What is asked for, by key: `request` over the file `config` over the recipe.

    What goes with a part, data set, length or weights that the request replaces is left out (`replaced`).

    Args:
        config: a file, or the folder of a run.
        plugins: files whose parts it may name; they are loaded.
        say: given a sentence on what is left out, and on a run whose file it is that is not gone on with.

    Raises:
        UserError: there is no such recipe or file, or a plug-in file cannot be loaded.
    """
    for plugin in plugins:
        load_plugin(plugin)
    flat: Flat = {}
    config = file_of(config) if config else None
    run = config.parent if config and (config.parent / "run.json").is_file() else None
    if recipe is not None:
        if recipe not in recipes():
            raise unknown("recipe", recipe, recipes(), see="sslkit list recipes")
        if run:
            raise UserError(f"{config} is a run's, and names every key, so that nothing of {recipe} is left; drop one")
        flat |= read_toml(recipes()[recipe])
    refuse_steps(named(request))
    file, asked = read_toml(config) if config else {}, in_seconds(named(request))
    check_lengths(asked)
    beneath = flat | file
    gone = replaced(beneath, asked, _prepared_for(run) if run else None)
    if run and (apart := differing(file, asked)):
        say(f"{run.name} is not gone on with, this is another run: {', '.join(apart)}")
    if gone:
        say(_left_out(beneath, gone))
    return in_seconds({k: v for k, v in beneath.items() if k not in gone} | asked)


def keys_of(config: str | os.PathLike[str], asks: Iterable[Flat]) -> tuple[Flat, str]:
    """The keys of a file that go with none of what several requests replace, and what is said of the others.

    Raises:
        UserError: there is no such file, or no such part.
    """
    config = file_of(config)
    file, run = read_toml(config), config.parent if (config.parent / "run.json").is_file() else None
    about = _prepared_for(run) if run else None
    gone = [*dict.fromkeys(key for asked in asks for key in replaced(file, asked, about))]
    return {k: v for k, v in file.items() if k not in gone}, _left_out(file, gone) if gone else ""


def _left_out(file: Flat, gone: Iterable[str]) -> str:
    return f"gone with what is replaced, and left out: {', '.join(f'{key}={file[key]}' for key in gone)}"


def _prepared_for(run: Path) -> Mapping[str, Any]:
    """How images were prepared for the weights that a run started from, by the name of the key in `data`."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # it started from none, or is damaged
        about = json.loads((run / "data.json").read_text("utf-8"))["weights"]
        return {key: about[key] for key in ("stats", "interpolation", "size") if about[key] is not None}
    return {}
