"""Data sets that torchvision reads and downloads, with its check of published checksums.

Nothing is fetched unless `download` says so.
"""

from __future__ import annotations

import contextlib
import sys
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torchvision import datasets as torchvision  # type: ignore[import-untyped]

from sslkit.data import Dataset, Raw
from sslkit.errors import UserError, one_line


class TorchvisionSet(Dataset):
    """Options: `dir` is the folder that torchvision calls root; with `download` it fetches what is not there."""

    needs: ClassVar[Sequence[str]]  # files or folders below `dir`

    def __init__(self, *, dir: str = "", download: bool = False) -> None:
        self.dir = Path(dir).expanduser()
        self.download = download
        if not dir:
            name = type(self).__module__.rpartition(".")[2]
            raise UserError(f"{name} needs its folder: --data-dir DIR, which holds {_list(self.needs)}")

    @abstractmethod
    def read(self) -> tuple[list[str], Raw, Raw]: ...

    def open(self, cls: str, **options: Any) -> Any:
        """torchvision's data set `cls`, made with `options`.

        Raises:
            UserError: a file is missing or damaged, or cannot be fetched.
        """
        missing = [name for name in self.needs if not (self.dir / name).exists()]
        if missing and not self.download:
            raise UserError(f"no {self.dir / missing[0]}; --data-dir must hold {_list(self.needs)}, or add --download")
        try:
            with contextlib.redirect_stdout(sys.stderr):  # where it prints: pytorch/vision#8680
                return getattr(torchvision, cls)(str(self.dir), download=self.download, **options)
        except Exception as error:  # archives, the network and pickles raise what they like
            why = "a file is damaged: its checksum is not the published one" if "corrupted" in str(error) else ""
            do = "downloaded" if self.download else "read"
            raise UserError(f"{cls} in {self.dir} cannot be {do}: {why or one_line(error)}") from None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
