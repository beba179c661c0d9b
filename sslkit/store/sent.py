"""What is written to a server: made here, and sent when it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sslkit.errors import UserError
from sslkit.store import anywhere, remote


@contextmanager
def written(out: str) -> Iterator[Path]:
    """A path to write a file or folder to, and files beside it: `out` itself, or, where that is a URL, one here.

    What is there when the block ends without an error goes to the server, file by file; where one cannot be sent, those
    before it are removed again.

    Raises:
        UserError: it is there already, names no file, or cannot be sent.
    """
    if not anywhere.is_remote(out):
        yield Path(out)
        return
    target = anywhere.place(out)
    if len(target.parts) < 3:
        raise UserError(f"--out {out}: name a file or folder below it, as {str(target).rstrip('/')}/NAME")
    if target.exists():
        raise UserError(f"{out} exists and is not overwritten; choose another --out")
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder, target.name)
        try:
            yield here
        except UserError as error:
            raise UserError(str(error).replace(str(here), str(target))) from None
        _send(Path(folder), target.parent)


def _send(folder: Path, above: Path) -> None:
    sent = list[str]()
    try:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            url = str(above / file.relative_to(folder).as_posix())
            sent.append(url)
            remote.write(file, url)
    except (UserError, OSError) as error:
        for url in sent:
            with suppress(UserError, OSError):
                remote.remove(url)
        raise UserError(f"nothing is written: {error}") from None
