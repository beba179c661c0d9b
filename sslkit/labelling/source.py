"""A file or folder of a labelling tool, packed or not."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sslkit.errors import UserError, one_line
from sslkit.store import anywhere

Place = Path | zipfile.Path


@dataclass(frozen=True, eq=False)
class Source:
    """One place; of a zip file, what is in it."""

    path: Place
    said: str  # how the user named it

    @classmethod
    def of(cls, path: Path) -> Source:
        """
        Raises:
            UserError: nothing is there, or it is a broken zip file.
        """
        path = anywhere.place(path)
        if not path.exists():
            raise UserError(f"cannot read {path}: No such file or directory")
        if path.is_file() and path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
            try:
                return cls(zipfile.Path(path), str(path))
            except (zipfile.BadZipFile, OSError) as error:
                raise UserError(f"cannot read {path}: {one_line(error)}") from None
        return cls(path, str(path))

    @property
    def is_folder(self) -> bool:
        return self.path.is_dir()

    @property
    def leads_back(self) -> bool:
        """Whether it is a link to a folder that it lies in."""
        path = self.path
        return isinstance(path, Path) and path.is_symlink() and path.parent.resolve().is_relative_to(path.resolve())

    @property
    def suffix(self) -> str:
        return "" if self.is_folder else f".{self.path.name.rpartition('.')[2].lower()}"

    @property
    def stem(self) -> str:
        return self.path.name.rpartition(".")[0]

    @cached_property
    def data(self) -> bytes:
        """
        Raises:
            UserError: it cannot be read.
        """
        try:
            return self.path.read_bytes()
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:  # the last where it is encrypted
            raise UserError(f"cannot read {self.said}: {one_line(error)}") from None

    @cached_property
    def text(self) -> str:
        """
        Raises:
            UserError: it is no text in UTF-8.
        """
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeError:
            raise UserError(f"{self.said} is no text in UTF-8") from None

    @cached_property
    def json(self) -> Any:
        """The content of a JSON file; None where it is none, as JSON lines and folders."""
        if self.is_folder or not self.data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"[", b"{")):
            return None
        try:
            return json.loads(self.text)
        except (ValueError, UserError, RecursionError):
            return None

    @cached_property
    def children(self) -> list[Source]:
        """What lies in a folder itself, by name; hidden ones left out."""
        try:
            shown = [path for path in self.path.iterdir() if not path.name.startswith((".", "__MACOSX"))]
        except OSError as error:
            raise UserError(f"cannot read {self.said}: {one_line(error)}") from None
        return [Source(path, f"{self.said}/{path.name}") for path in sorted(shown, key=lambda path: path.name)]

    def inside(self, *suffixes: str) -> list[Source]:
        """The files of a folder with these suffixes."""
        return [one for one in self.children if not one.is_folder and one.path.name.lower().endswith(suffixes)]

    def folder(self, name: str) -> Source | None:
        """A folder in this one."""
        return next((one for one in self.children if one.is_folder and one.path.name == name), None)

    def below(self, before: str = "") -> Iterator[tuple[str, Place]]:
        """All files, by their path below this folder with forward slashes; links that lead back are not followed."""
        for one in self.children:
            if one.is_folder and one.leads_back:
                continue
            if one.is_folder:
                yield from one.below(f"{before}{one.path.name}/")
            else:
                yield before + one.path.name, one.path
