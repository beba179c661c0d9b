"""A server in this process, in memory: `flaky://` fails as it is told, and keeps what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from sslkit.store import drives, remote, servers


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """The files of `memory://`; each request takes the first of `failures` that is there for its kind."""

    protocol = "flaky"
    failures: ClassVar[dict[str, list[Exception]]] = {}
    requests: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return MemoryFileSystem._strip_protocol(str(path).replace("flaky://", "memory://"))

    def _asked(self, kind: str, path: str) -> None:
        self.requests.append((kind, path))
        if self.failures.get(kind):
            raise self.failures[kind].pop(0)

    def ls(self, path: str, detail: bool = True, **more: Any) -> Any:
        self._asked("ls", path)
        return super().ls(path, detail, **more)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: Any) -> Any:
        self._asked("cat", path)
        return super().cat_file(path, start, end, **more)

    def info(self, path: str, **more: Any) -> Any:
        self._asked("info", path)
        return super().info(path, **more)

    def put_file(self, lpath: str, rpath: str, *words: Any, **more: Any) -> None:
        self._asked("put", rpath)
        super().put_file(lpath, rpath, *words, **more)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MemoryFileSystem]:
    """An empty one, with waits of no time."""
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(servers, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Flaky, "failures", {})
    monkeypatch.setattr(Flaky, "requests", [])
    drives.said()
    remote.forget()
    yield memory
    memory.rm("/", recursive=True)
    remote.forget()


def send(folder: Path, memory: MemoryFileSystem, to: str) -> None:
    """All files of a folder."""
    for file in folder.rglob("*"):
        if file.is_file():
            memory.pipe_file(f"/{to}/{file.relative_to(folder).as_posix()}", file.read_bytes())
