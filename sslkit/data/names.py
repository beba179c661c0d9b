"""Which image a table means by a name: by its path or the end of it, with or without suffix, in any case of letters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import numpy as np

from sslkit.data.csv_files import composed
from sslkit.data.formats import suffixes
from sslkit.data.image import Array
from sslkit.errors import UserError, listed

NONE, SEVERAL = -1, -2
SHOWN = 10  # rows that a message names


class Names:
    """The images that a table may name.

    A row names an image by its whole path, by the end of that, or by an absolute path that ends in it. Where that finds
    none, suffixes of images are left out, and where that finds none, capitals are small, and at last names are as forms
    for uploads make them. Accents are composed.

    Args:
        names: (N,) paths with forward slashes, or other names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def place(self, row: str) -> int:
        """Number of the image that a row names; `NONE` or `SEVERAL`."""
        found = self._written.place(row)
        found = self._bare.place(row) if found == NONE else found
        found = self._small.place(row.casefold()) if found == NONE else found
        return self._uploaded.place(uploaded(row)) if found == NONE else found

    def match(self, file: str, rows: Sequence[str], where: Callable[[int], str]) -> Array:
        """(rows,) int64, the number of the image that each row names.

        Args:
            where: says where a row stands in the file.

        Raises:
            UserError: rows match no image or several; names them.
        """
        place = np.array([self.place(row) for row in rows], np.int64)
        lost = [f"{rows[i]!r} ({where(i)})" for i in np.flatnonzero(place == NONE).tolist()]
        many = [f"{rows[i]!r} ({where(i)})" for i in np.flatnonzero(place == SEVERAL).tolist()]
        like = f"names are like {self.names[0]!r}" if self.names else "there is no image"
        said = [f"{len(lost)} of {len(rows)} rows match no image: {listed(lost, SHOWN)}"] if lost else []
        said += [f"{len(many)} of {len(rows)} rows match several images: {listed(many, SHOWN)}"] if many else []
        if said:
            raise UserError(f"{file}: {'; '.join(said)}; {like}")
        return place

    @cached_property
    def _written(self) -> _Ends:
        return _Ends([composed(name) for name in self.names])

    @cached_property
    def _bare(self) -> _Ends:
        return _Ends([without_suffix(composed(name)) for name in self.names])

    @cached_property
    def _small(self) -> _Ends:
        return _Ends([composed(name).casefold() for name in self.names])

    @cached_property
    def _uploaded(self) -> _Ends:
        return _Ends([uploaded(composed(name)) for name in self.names])


class _Ends:
    """Names by their whole path and by its ends."""

    def __init__(self, names: Sequence[str]) -> None:
        self.whole: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        for i, name in enumerate(names):
            self.whole[name] = SEVERAL if name in self.whole else i
            for end in _ends(name):
                self.ends[end] = SEVERAL if end in self.ends else i

    def place(self, row: str) -> int:
        """As in `Names`; a backslash is a letter, as Linux has it, where an image is called so, else Windows' slash."""
        for path in dict.fromkeys((row, row.replace("\\", "/"))):
            ends = [*_ends(plain_path(path))]
            found = next((self.whole[end] for end in ends if end in self.whole), NONE)
            found = self.ends.get(ends[0], NONE) if found == NONE else found
            if found != NONE:
                return found
        return NONE


def _ends(path: str) -> Iterator[str]:
    """The path, and what is left of it without its first folders."""
    parts = path.split("/")
    return ("/".join(parts[i:]) for i in range(len(parts)))


def plain_path(text: str) -> str:
    """A path as names are written: accents composed, no empty parts and no `.`."""
    parts = composed(text).split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def uploaded(path: str) -> str:
    """As Django, and so Label Studio, keeps a file of this name: `_` for spaces, and of signs only `-_.`."""
    return re.sub(r"[^-\w./\\]", "", path.replace(" ", "_"))


def without_suffix(name: str) -> str:
    """Without the suffix of an image."""
    return name[: name.rindex(".")] if name.lower().endswith(suffixes()) and not name.startswith(".") else name
