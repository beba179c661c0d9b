"""Files that a table or list names, however it writes them: accents, suffixes, folders that are left out."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sslkit.data.csv_files import composed
from sslkit.data.names import NONE, SEVERAL, SHOWN, Names
from sslkit.data.tables import Table
from sslkit.datasets._folders import files_below, images_among
from sslkit.errors import UserError, listed
from sslkit.store import anywhere


class Files:
    """The files below a folder that names may mean."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: dict[str, tuple[str, Names]] = {}  # as it is written -> as the disk has it, and its images

    def has(self, name: str) -> bool:
        """Whether a name means a file, as it is written or otherwise."""
        try:
            path = self.slashed(name)
            return anywhere.place(anywhere.join(self.root, path)).is_file() or bool(self.find(path))
        except (OSError, ValueError, UserError):  # too long, or with a zero: no name of a file
            return False

    def slashed(self, name: str) -> str:
        """With slashes for the backslashes of Windows, unless a file is called so."""
        there = "\\" not in name or anywhere.exists(anywhere.join(self.root, name))
        return name if there else name.replace("\\", "/")

    def find(self, name: str) -> str:
        """The file of that name with accents written otherwise, a suffix, or other capitals; "" where there is none.

        Raises:
            UserError: there are several.
        """
        folder, _, own = name.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._look(folder)
        there, images = self._folders[folder]
        place = images.place(own) if own else NONE
        if place == SEVERAL:
            raise UserError("several images")
        return there + images.names[place] if place != NONE else ""

    def _look(self, folder: str) -> tuple[str, Names]:
        at = self.root / ("/" if folder.startswith("/") else "")
        try:
            for part in folder.split("/"):
                inside = [] if (at / part).exists() else anywhere.listdir(at)
                same = [name for name in inside if composed(name) == composed(part)]
                at /= same[0] if len(same) == 1 else part
            images = images_among(str(at), anywhere.listdir(at), "")
        except OSError:  # no such folder, or not to be read
            return "", Names([])
        below = at.relative_to(self.root).as_posix() if at.is_relative_to(self.root) else str(at)
        return f"{below}/" if below != "." else "", Names(images)


def find_files(files: Files, table: Table) -> tuple[list[str], list[str]]:
    """The paths of a table's images, below the root or absolute, and remarks on what is not found as it is written.

    What is not in the folder that is named is looked for in all folders below the root, by the end of the path.
    What is not there at all stays as it is written.

    Raises:
        UserError: names mean several files.
    """
    rows = [files.slashed(row) for row in table["path"]]
    lost = [i for i, row in enumerate(rows) if not anywhere.exists(anywhere.join(files.root, row))]
    found, several = dict[int, str](), list[int]()
    for i in lost:
        try:
            found[i] = files.find(rows[i])
        except UserError:
            several.append(i)
    gone = [i for i in lost if not found.get(i) and i not in several]
    if gone:
        below = Names(_below(files.root))
        place = {i: below.place(rows[i]) for i in gone}
        found |= {i: below.names[k] for i, k in place.items() if k >= 0}
        several += [i for i, k in place.items() if k == SEVERAL]
    if several:
        told = [f"{rows[i]!r} ({table.where(i)})" for i in several]
        raise UserError(f"{table.file}: {len(told)} rows match several images: {listed(told, SHOWN)}")
    found = {i: path for i, path in found.items() if path}
    first = next(iter(found), None)
    like = f", as {rows[first]!r} for {found[first]!r}" if first is not None else ""
    said = [f"{len(found)} of {len(rows)} images are found under another path than is written{like}"] if found else []
    return [found.get(i, row) for i, row in enumerate(rows)], said


def _below(root: Path) -> list[str]:
    with suppress(UserError):  # a folder that cannot be read, which need not hold an image of the table
        return files_below(root, "")
    return []
