"""Options that name the folders of parts: `data.train`, `data.test`, `data.val` and `data.unlabeled`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence

from sslkit.config.resolve import parse_set
from sslkit.datasets._layout import Tree
from sslkit.errors import UserError, unknown

NAMES = ("train", "test", "val", "unlabeled")
Places = tuple[str, ...]  # as `part` takes them


def places(tree: Tree, given: Mapping[str, str]) -> dict[str, Places]:
    """The places that options name: a folder, several with commas between, the root as ".", "*/train" in each class.

    Raises:
        UserError: there is no such folder.
    """
    found = {}
    for name, text in given.items():
        words = [text] if _place(tree, text) else [word.strip() for word in text.split(",")]
        known = [_place(tree, word) for word in words]
        if "" in known:
            lost = unknown("folder", words[known.index("")], tree.folders(""))
            raise UserError(f"data.{name}={text}: {tree.root}: {lost}")
        found[name] = (*known,)
    return found


def _place(tree: Tree, word: str) -> str:
    """The place that a word means, or ""."""
    if word == ".":
        return word
    if word.startswith("*/"):
        return word if any((tree.root / name / word[2:]).is_dir() for name in tree.folders("")) else ""
    if not word or not (tree.root / word).is_dir():
        return ""
    at = os.path.relpath(tree.root / word, tree.root).replace(os.sep, "/")
    return "" if at.startswith("..") else at


def option(name: str, some: Sequence[str]) -> str:
    """`--set data.NAME=…`, as a shell and TOML read it back."""
    text = f"data.{name}={','.join(some)}"
    if not isinstance(parse_set(text)[1], str):
        text = f'data.{name}="{",".join(some)}"'
    return f"--set {shlex.quote(text)}"
