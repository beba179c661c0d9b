"""Recipes: published settings as configuration files, one a module of this folder; `sslkit run --recipe NAME`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslkit import budget
from sslkit.config import Flat
from sslkit.errors import unknown
from sslkit.resolve import named, read_toml

FOLDER = Path(__file__).parent


def recipes() -> dict[str, Path]:
    """Name -> file."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def about(name: str) -> dict[str, str]:
    """What a recipe's opening comment says: title, source, published, protocol, hardware, deviations."""
    found, key = {"title": ""}, "title"
    for line in recipes()[name].read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        head, colon, rest = text.partition(":")
        if colon and head in ("Source", "Published", "Protocol", "Hardware", "Deviations"):
            key, text = head.lower(), rest.strip()
        found[key] = f"{found.get(key, '')} {text}".strip()
    return found


def layers(recipe: str | None, config: str | os.PathLike[str] | None, request: Mapping[str, Any]) -> Flat:
    """What is asked for, by key: `request` over the file `config` over the recipe.

    Raises:
        UserError: there is no such recipe or file.
    """
    flat: Flat = {}
    if recipe is not None:
        if recipe not in recipes():
            raise unknown("recipe", recipe, recipes(), see="sslkit list recipes")
        flat |= read_toml(recipes()[recipe])
    budget.refuse_steps(named(request))
    return budget.in_seconds(flat | (read_toml(config) if config else {}) | named(request))
