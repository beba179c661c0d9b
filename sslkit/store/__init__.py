"""The store: finished stages under `stages/KEY/`, runs that refer to them under `NAME-HASH/`.

A stage is worked on in `stages/.KEY/` under a claim and published by one rename; a killed one is gone on with. What
is published is not written again, but for weights, which a comparison may drop.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sslkit.errors import UserError, one_line
from sslkit.store import claims
from sslkit.store.anywhere import is_remote
from sslkit.store.claims import Claim
from sslkit.store.files import cut_off, write_text

PathLike = str | os.PathLike[str]
WEIGHTS = "weights.safetensors"
FOLDERS = ("stages", "data", "features", "frozen")  # of a store, beside its runs and comparisons
# Names of what lies in them: stages; images, features, and what was found out about files.
OWN = re.compile(r"[0-9a-f]{16,}(-\d+)?|.*[0-9a-f]{16}(-\d+)?\.(npy|json|safetensors)|(readable|seen)-.*\.npy")
LONGEST, TAIL = 80, 8  # letters of a name as a part of a path, and of its end that is kept


class Store:
    """Folders of stages and runs below one root.

    Raises:
        UserError: the root cannot be a folder that is written to.
    """

    def __init__(self, root: PathLike) -> None:
        self.root = Path(root)
        if not str(root):
            raise UserError("--runs needs the name of a folder")
        if is_remote(root):
            raise UserError(f"--runs {root}: runs lie on a disk; `sslkit export RUN --out {root}` takes one there")
        there = next(path for path in (self.root, *self.root.absolute().parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK)):
            raise UserError(f"--runs {root}: {there} is not a folder that can be written to")
        self.stages, self.data = self.root / "stages", self.root / "data"  # data: decoded images
        self.features = self.root / "features"  # of frozen networks

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            UserError: they cannot be made.
        """
        try:
            self.stages.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.stages}: {one_line(error)}") from None
        claims.sweep(self.root)

    def finished(self, key: str) -> Path | None:
        """Folder of the published stage, if there is one."""
        folder = self.stages / key
        return folder if (folder / "result.json").is_file() else None

    def there(self, key: str, weights: bool = False) -> bool:
        """Whether a stage is finished, and with `weights` has them yet."""
        folder = self.finished(key)
        return folder is not None and not (weights and without_weights(folder))

    def begun(self, key: str) -> bool:
        """Whether a stage is finished or was interrupted."""
        return self.finished(key) is not None or (self.stages / f".{key}").is_dir()

    def claim(self, key: str) -> Claim:
        """The claim of a stage."""
        return Claim(self.root, key)

    def held(self, key: str) -> bool:
        """Whether a process is training the stage just now."""
        return claims.held(self.root, key)

    @contextmanager
    def working(self, key: str, waiting: Callable[[], None], weights: bool = False) -> Iterator[Path | None]:
        """The working folder of a stage, held alone; None if another process finished the stage meanwhile.

        The folder is published, without its checkpoints, when the block ends without an error.

        Args:
            waiting: called once when another process holds the stage; then it is waited for.
            weights: a finished stage whose weights were dropped is trained again, for these.

        Raises:
            UserError: a folder of that name is there and holds no result.
            Lost: another process took the stage over while this one stood still; nothing is published.
        """
        claim = self.claim(key)
        if not claim.take():
            waiting()
            claim.wait()
        try:
            folder = self.stages / f".{key}"
            folder.mkdir(parents=True, exist_ok=True)  # before the look: an NFS client looks anew at what it changed
            done = self.finished(key)
            if done and not (weights and without_weights(done)):
                with suppress(OSError):
                    folder.rmdir()
                yield None
                return
            if (self.stages / key).exists() and not done:
                raise UserError(f"{self.stages / key} has no result.json: it is damaged; remove it")
            remove(unfinished(folder))
            if claim.stalled:  # the log, which is appended to; all else is written beside and renamed, if still claimed
                cut_off(path for path in folder.iterdir() if path.suffix != ".safetensors")
            ready = (folder / "result.json").is_file()  # killed just before it was published
            yield None if ready else folder
            claim.check()
            remove(folder.glob("checkpoint-*"))
            if done:
                os.replace(folder / WEIGHTS, done / WEIGHTS)
                shutil.rmtree(folder)
            else:
                os.rename(folder, self.stages / key)
            (self.stages / f".{key}.lock").unlink(missing_ok=True)  # earlier versions locked it
        finally:
            claim.release()

    def alone(self) -> Claim:
        """Held while what a run stores of itself is read and written."""
        return Claim(self.root, "store")

    def run_folder(self, name: str, digest: str, *, again: bool = False) -> Path:
        """`NAME-HASH`, or with `again` the first of `NAME-HASH-2`, `-3`, … that is not finished."""
        folder = self.root / f"{safe(name)}-{digest}"
        number = 2
        while again and (number == 2 or is_done(folder)):
            folder = self.root / f"{safe(name)}-{digest}-{number}"
            number += 1
        return folder


def without_weights(stage: Path) -> bool:
    """Whether a finished stage's weights were dropped."""
    return (stage / "result.json").is_file() and not (stage / WEIGHTS).is_file()


def weights_of(stage: Path) -> Path:
    """The file of a finished stage's weights.

    Raises:
        UserError: they were dropped; says how to get them back.
    """
    if without_weights(stage):
        raise UserError(
            f"{stage / WEIGHTS} is not there: weights are dropped when a comparison ends; "
            "the same `sslkit compare` with --keep trains them again"
        )
    return stage / WEIGHTS


def unfinished(folder: Path) -> list[Path]:
    """Files that a killed process was writing: ours, and those of safetensors, which has temporary files of its own.

    See safetensors/safetensors#764.
    """
    return [*folder.glob(".*.tmp"), *folder.glob(".tmp*")]


def remove(files: Iterable[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def is_store(folder: PathLike) -> bool:
    """Whether a folder is the root of a store, by what lies in the folders that it has."""
    inside = [os.path.join(folder, name) for name in FOLDERS]
    there = [path for path in inside if os.path.isdir(path)]
    names = [name for path in there for name in os.listdir(path) if not name.startswith(".")]
    marks = (claims.FOLDER, ".lock")  # the latter by earlier versions
    known = bool(names) or any(os.path.exists(os.path.join(folder, mark)) for mark in marks)
    return bool(there) and known and all(map(OWN.fullmatch, names))


def store_of(run: Path) -> Path:
    """The folder that holds `stages` and what else a run needs: the store it is in, or itself where it was packed."""
    run = run.absolute()
    return run if (run / "stages").is_dir() else run.parent


def is_done(run: Path) -> bool:
    """Whether a run has its results."""
    return (run / "results.json").is_file()


def safe(name: str) -> str:
    """`name` as one part of a path: letters, digits, `.`, `_`, `-`; nothing that climbs or hides.

    A long one is cut in its middle, so that a number at its end stays, and what was cut is not cut again.
    """
    plain = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII).strip(".-_")
    return (plain if len(plain) <= LONGEST else plain[: LONGEST - TAIL] + plain[-TAIL:]) or "run"


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; is {path.parent} a run folder?") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {one_line(error)}") from None
    return found


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(value, indent=1) + "\n")
