"""Folders that are parts and folders that are classes: layouts are drawn, with the answer made beside each."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from sslkit.config.resolve import parse_set
from sslkit.data import Raw
from sslkit.datasets._layout import called
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.cli.call import TINY, assert_refused, folder_of, run, sslkit
from tests.datasets import layouts
from tests.datasets.layouts import Drawn
from tests.datasets.make import own, pictures, read
from tests.kernel.make import TINY as BRIEF


def known(classes: list[str], part: Raw) -> dict[str, str | None]:
    """File name -> class; each image is there once."""
    names = [Path(str(image)).name for image in part.images]
    assert len({*names}) == len(names)
    return {name: classes[c] if c >= 0 else None for name, c in zip(names, part.label.tolist(), strict=True)}


def assert_read(drawn: Drawn, options: dict[str, str]) -> None:
    classes, train, test = read("folder", dir=str(drawn.root), **options)
    assert (known(classes, train), known(classes, test)) == (drawn.train, drawn.test), drawn.told


@pytest.mark.parametrize("seed", range(200))
def test_parts_are_read_as_they_were_drawn(seed: int, here: Path) -> None:
    assert_read(layouts.Draw(here, seed).parts(), {})


@pytest.mark.parametrize("seed", range(30))
def test_classes_that_are_called_as_parts(seed: int, here: Path) -> None:
    assert_read(layouts.flat(here, seed), {})


def ways(message: str) -> list[dict[str, str]]:
    """The options of each reading that a question lists."""
    _, _, listed = message.partition("the right one: ")
    found = []
    for way in re.split(r"; (?=classes)", listed):
        words = shlex.split(way[way.index("--set") :])
        keys = [parse_set(word) for word in words if word != "--set"]
        found.append({key.removeprefix("data."): value for key, value in keys})
    return found


@pytest.mark.parametrize("seed", range(30))
def test_where_two_readings_fit_each_is_had_by_the_options_that_are_listed(seed: int, here: Path) -> None:
    root, answers = layouts.asked(here, seed)
    with pytest.raises(UserError, match="can be read in 2 ways") as caught:
        read("folder", dir=str(root))
    assert "\n" not in str(caught.value)
    for answer, options in zip(answers, ways(str(caught.value)), strict=True):
        assert_read(answer, options)


@pytest.mark.parametrize(
    ("name", "kind"),
    {
        "train_v2": ("training", ""),
        "pets_train": ("training", "pets"),
        "petsTrain": ("training", "pets"),
        "2021_train_mini": ("training", ""),
        "trainval": ("training", ""),
        "train_unlabeled": ("unlabelled", ""),
        "no label 2": ("unlabelled", ""),
        "train_test": ("", ""),
        "contest": ("", "contest"),
        "trains": ("", "trains"),
    }.items(),
)
def test_words_of_a_name(name: str, kind: tuple[str, str]) -> None:
    assert called(name) == kind
