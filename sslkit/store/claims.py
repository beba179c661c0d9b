"""Claims: who works on what in a store, on any file system that renames, NFS without locks included.

A claim is a folder, `.claims/NAME/`, with one empty file whose name says whose it is and counts heartbeats:
HOST~MACHINE~PID~START~NONCE~BEAT. All that happens to it is a rename, of which a file server carries out one at a time.

To claim is to rename a folder, made beside, into its place, which fails where one with a file in it stands. A file made
with O_EXCL would be there before its words are, after a kill for ever; link() puts words and file in place at once, but
a claim could not be taken over only if it is still the one that was looked at. A heartbeat, and a look whether it is
still one's own, renames the file from its last name to the next; so does who takes over, and who is second finds no
such file. Of two that take over one wins, and an owner that was thought dead and wakes knows it.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sslkit.errors import Lost, UserError, one_line
from sslkit.store.owners import dead, this_process

FOLDER = ".claims"
BEAT = 10.0  # seconds between heartbeats
PATIENCE = 120.0  # without one; more than the minute for which NFS clients remember what lies in a folder

_held: set[Claim] = set()  # of this process
_seen: dict[Path, tuple[str, float, float]] = {}  # claim -> its file's name, when it was looked at, how long it is that
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_held.clear)  # a fork would beat for its parent


class Claim:
    """Held by one process at a time; a context manager that waits for it.

    Args:
        root: folder that has, or gets, the folder of claims.
        name: what is claimed, one part of a path.
    """

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / FOLDER / name
        self.stalled = False  # whether the owner before may wake yet: it was not known to be dead
        self._file = ""
        self._turn = threading.Lock()

    def take(self) -> bool:
        """Take it, if it is free or its owner is dead or silent; whether that went well.

        Raises:
            UserError: the folder cannot be written.
        """
        owner, mine = owner_of(self.folder), this_process()
        try:
            if not owner:
                taken = self._make(mine)
            elif taken := (ended := dead(owner)) or silent(self.folder, owner):
                os.rename(self.folder / owner, self.folder / mine)
                self.stalled = not ended
        except FileNotFoundError:  # another one was quicker; or the server's first answer was lost
            taken = (self.folder / mine).exists()
        except OSError as error:
            raise UserError(f"cannot write {self.folder.parent}: {one_line(error)}") from None
        if taken:
            self._file = mine
            _held.add(self)
            _pulse.start()
        return taken

    def wait(self) -> None:
        """Take it as soon as that can be."""
        pause = 0.005
        while not self.take():
            time.sleep(pause)
            pause = min(1.5 * pause, 0.5)

    def check(self) -> None:
        """Make sure that it is still held: a heartbeat.

        Raises:
            Lost: another process has taken it over.
        """
        with self._turn:
            if not self._file:
                return
            head, _, beat = self._file.rpartition("~")
            following = f"{head}~{int(beat) + 1}"
            try:
                os.rename(self.folder / self._file, self.folder / following)
            except FileNotFoundError:
                if not (self.folder / following).exists():
                    raise Lost(
                        f"this process stood still for {PATIENCE:g} seconds or more, so another one has taken its work "
                        "over, and its own is left out"
                    ) from None
            self._file = following

    def release(self) -> None:
        """Let others have it; nothing, where it was lost."""
        _held.discard(self)
        with self._turn, suppress(OSError):
            file, self._file = self._file, ""
            os.unlink(self.folder / file)
            os.rmdir(self.folder)

    def __enter__(self) -> Claim:
        self.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()

    def _make(self, mine: str) -> bool:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        beside = self.folder.with_name(f".{self.folder.name}.{mine}")
        try:
            beside.mkdir()
            (beside / mine).touch()
            os.rename(beside, self.folder)  # an empty one, left by a kill, does not count
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            with suppress(OSError):  # some systems do count an empty one
                os.rmdir(self.folder)
            return False
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return True


class _Pulse:
    """The thread that beats for all claims of this process, from the first one on."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None or not self._thread.is_alive():  # a fork has none
            self._thread = threading.Thread(target=self._beat, name="claims", daemon=True)
            self._thread.start()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT)
            for claim in list(_held):
                with suppress(Lost, OSError):  # who writes next hears of it; a drive may fail at times
                    claim.check()


_pulse = _Pulse()


def check() -> None:
    """Make sure that this process still holds all that it has claimed.

    Raises:
        Lost: it does not; then nothing that it made may be written.
    """
    for claim in list(_held):
        claim.check()


def held(root: Path, name: str) -> bool:
    """Whether a living process has claimed something; one look at a folder, so that thousands can be asked for."""
    folder = root / FOLDER / name
    owner = owner_of(folder)
    return bool(owner) and not dead(owner) and not silent(folder, owner)


def sweep(root: Path) -> None:
    """Remove what killed processes of this machine have left; what others did is found when it is claimed."""
    for left in (root / FOLDER).glob("*"):
        if left.name[0] == ".":  # killed in the middle of claiming
            if dead(left.name.rpartition(".")[2]):
                shutil.rmtree(left, ignore_errors=True)
        elif dead(owner_of(left)):
            claim = Claim(root, left.name)
            if claim.take():
                claim.release()


def owner_of(folder: Path) -> str:
    """The name of the file in a claim, or "" where it is free."""
    try:
        return min(os.listdir(folder), default="")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise UserError(f"cannot read {folder}: {one_line(error)}") from None


def silent(folder: Path, owner: str) -> bool:
    """Whether this process has seen no heartbeat for so long; clocks of machines are not compared.

    A look counts for the time since the last one, but for no more than a heartbeat: this process may itself have stood
    still, and the owner with it.
    """
    now = time.monotonic()
    name, last, waited = _seen.get(folder, ("", now, 0.0))
    waited = waited + min(now - last, BEAT) if name == owner else 0.0
    _seen[folder] = owner, now, waited
    return waited > PATIENCE
