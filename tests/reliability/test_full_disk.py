"""A full or read-only disk: one line, exit code 2, what was good stays; with space the run ends equal to the bit."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sslkit.store import checkpoint
from sslkit.training.engine import Engine
from tests.reliability.small import assert_equal, checkpoints, leftovers, one_line, small

SIZE = 16 << 20  # bytes; a checkpoint has 0.4 MB
ROOM = 1 << 16  # for logs, and for no checkpoint
PAGE = 4096


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path, self.ballast = path, path / "ballast"

    def fill(self, but: int = 0) -> None:
        """Leave only `but` bytes."""
        free = os.statvfs(self.path)
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - but)

    def empty(self) -> None:
        self.ballast.unlink()

    def read_only(self) -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    try:
        subprocess.run(line, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only root may mount a small file system")
    monkeypatch.chdir(tmp_path)
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def threads_died(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of exceptions that ended threads; Python would print a traceback of each."""
    died: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: died.append(args.exc_type.__name__))
    return died


def page_up(path: Path) -> None:
    """Fill a file's last page, so that the next byte needs a new one."""
    with path.open("ab") as file:
        file.write(bytes(-path.stat().st_size % PAGE))


def log_page_up(engine: Engine, disk: Disk) -> None:
    for path in engine.folder.glob("events.*"):
        page_up(path)
    disk.fill()


# name -> (method of the engine, step, what happens before it, checkpoints left)
POINTS: dict[str, tuple[str, int, Callable[[Engine, Disk], None], int]] = {
    "the first checkpoint": ("step", 5, lambda engine, disk: disk.fill(ROOM), 0),
    "a later checkpoint": ("step", 15, lambda engine, disk: disk.fill(ROOM), 1),
    "predictions": ("_finish", 0, lambda engine, disk: disk.fill(PAGE), 2),
    "the last weights": ("_finish", 0, lambda engine, disk: disk.fill(ROOM), 2),
    "TensorBoard's first event": ("_resume", 0, lambda engine, disk: disk.fill(), 0),
    "the first line of metrics": ("step", 5, lambda engine, disk: disk.fill(), 0),
    "TensorBoard's later events": ("step", 15, log_page_up, 1),
}
OFTEN = ("a later checkpoint", "TensorBoard's later events")


def before(patch: pytest.MonkeyPatch, method: str, step: int, act: Callable[[Engine], None]) -> None:
    """Let something happen before a step (or another method) of the semi stage."""
    original = getattr(Engine, method)

    def acting(self: Engine, *args: object) -> object:
        if self.spec.stage == "semi" and (method != "step" or args[0] == step):
            act(self)
        return original(self, *args)

    patch.setattr(Engine, method, acting)


@pytest.mark.parametrize("point", [pytest.param(p, marks=() if p in OFTEN else pytest.mark.slow) for p in POINTS])
def test_the_disk_is_full_at(point, disk, quiet, threads_died, capsys):
    method, step, act, kept = POINTS[point]
    root = disk.path / "runs"
    with pytest.MonkeyPatch.context() as patch:
        before(patch, method, step, lambda engine: act(engine, disk))
        assert small(root) == 2
    one_line(capsys.readouterr().err)
    assert not threads_died
    left = checkpoints(root, "semi")
    assert len(left) == kept
    for path in left:
        checkpoint.load(path)
    assert not [name for name in leftovers(root) if name.endswith(".tmp")]
    assert not (checkpoints(root, "semi") or [root])[0].parent.joinpath("result.json").exists()
    disk.empty()
    assert small(root) == 0
    assert_equal(root, quiet)


def test_a_disk_that_is_full_from_the_start(disk, capsys):
    disk.fill()
    assert small(disk.path / "runs") == 2
    assert "No space left" in one_line(capsys.readouterr().err)
    disk.empty()
    assert not [path for path in disk.path.rglob("*") if path.is_file()]


def test_a_read_only_disk(disk, capsys):
    disk.read_only()
    assert small(disk.path / "runs") == 2
    assert str(disk.path) in one_line(capsys.readouterr().err)
    assert not list(disk.path.iterdir())


@pytest.mark.parametrize("where", ["a/file", "a/file/below", "/proc/sslkit"])
def test_a_store_that_cannot_be(where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a").mkdir()
    Path("a/file").write_text("kept", "utf-8")
    assert small(Path(where)) == 2
    assert where in one_line(capsys.readouterr().err)
    assert Path("a/file").read_text("utf-8") == "kept"
    assert [path.name for path in Path("a").iterdir()] == ["file"]
