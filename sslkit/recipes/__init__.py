"""Recipes: published settings as configuration files, one a module of this folder; `sslkit run --recipe NAME`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sslkit.config import Flat
from sslkit.config.duration import in_seconds, refuse_steps
from sslkit.config.resolve import named, read_toml
from sslkit.errors import unknown
from sslkit.plugins import load_plugin

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


def layers(
    recipe: str | None,
    config: str | os.PathLike[str] | None,
    request: Mapping[str, Any],
    plugins: Iterable[str | os.PathLike[str]] = (),
) -> Flat:
    """What is asked for, by key: `request` over the file `config` over the recipe.

    Args:
        plugins: files whose parts it may name; they are loaded.

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
    return in_seconds(flat | (read_toml(config) if config else {}) | named(request))
