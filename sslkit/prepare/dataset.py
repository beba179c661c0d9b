"""The data set that a request names, and the options that are meant for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import Data, Flat
from sslkit.config.data import NO_TEST
from sslkit.config.resolve import options
from sslkit.config.values import coerce
from sslkit.data import Dataset
from sslkit.data.kept import kept_in
from sslkit.data.parts import Parts
from sslkit.errors import UserError
from sslkit.store import remote
from sslkit.store.anywhere import place
from sslkit.store.drives import tried_again


def dataset_of(flat: Flat) -> type[Any]:
    """The class of the data set that is asked for; where a path is named, the error says how that is done."""
    name = str(flat.get("data.name", "digits"))
    try:
        return registry.load("dataset", name)
    except UserError as error:
        if place(name).exists():
            kind = "folder" if place(name).is_dir() else "csv"
            raise UserError(f"{error}; a {kind} of one's own is written {kind}:{name}") from None
        raise


@tried_again
def read_parts(cls: type, place: Mapping[str, Any], cache: Path | None) -> Parts:
    """A data set as it reads itself.

    Args:
        cache: folder where it may keep what it found out.
    """
    remote.forget()  # what is new on a server is seen
    dataset: Dataset = cls(**place)
    with kept_in(cache):
        classes, train, test = dataset.read()
    return Parts(classes, train, test, list(dataset.remarks))


def place_of(flat: Mapping[str, Any], name: str, cls: type) -> dict[str, Any]:
    """`data.dir`, `data.download`, the names of columns and of folders where given, for a data set that takes them.

    Raises:
        UserError: it has no use for one.
    """
    given = {}
    of_labels = str(flat.get("data.labels", "")).startswith("file:")  # then its columns are named
    columns = ("split", "group") if of_labels else ("image", "label", "split", "group")
    parts = ("train", "unlabeled", *(name for name in ("test", "val") if _is_folder(f"data.{name}", flat)))
    for option, kind in (("dir", str), ("download", bool), *((name, str) for name in (*columns, *parts))):
        value = coerce(f"data.{option}", flat.get(f"data.{option}", kind()), kind)
        if value and (option not in options(cls) or option == getattr(cls, "argument", None)):
            share = ", or give a share as 0.2" if option in ("test", "val") else ""
            raise UserError(f"data set {name!r} has no use for data.{option}; drop it{share}")
        if value:
            given[option] = value
    if "classes" in options(cls):
        said = coerce("data.classes", flat.get("data.classes", ""), str)
        given |= {"classes": said or ("file" if of_labels else "")}
    if coerce("data.multilabel", flat.get("data.multilabel", False), bool):
        if "multilabel" not in options(cls) and not of_labels:
            raise UserError(f"data set {name!r} has one class an image; --multilabel needs a table, or --labels file:")
        given |= {"multilabel": True} if "multilabel" in options(cls) else {}
    unknown = coerce("data.open_set", flat.get("data.open_set", ""), str)
    if unknown and "open_set" in options(cls):
        given |= {"open_set": unknown}
    return given


def tone_asked(flat: Mapping[str, Any]) -> tuple[str | None, str]:
    """`data.white` and `data.bands` of a configuration: which level is white, and which bands are colours.

    Raises:
        UserError: a wrong value.
    """
    white = coerce("data.white", flat.get("data.white"), str | None)
    bands = coerce("data.bands", flat.get("data.bands", ""), str)
    try:
        Data(white=white, bands=bands)
    except ValueError as error:
        raise UserError(f"data.{error}") from None
    return white, bands


def _is_folder(key: str, flat: Mapping[str, Any]) -> bool:
    """Whether `data.test` or `data.val` names folders; else it is a share, or none."""
    value = coerce(key, flat.get(key, 0.0), float | str)
    return isinstance(value, str) and (key, value) != ("data.test", NO_TEST)
