"""Files on servers: what is asked, how often, and what is said where it fails."""

from __future__ import annotations

import errno
import io
import os
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sslkit.errors import UserError
from sslkit.store import anywhere, drives, remote, servers
from sslkit.store.servers import WAITS, Denied
from tests.store.servers import Flaky, send, server

__all__ = ["server"]


class HTTPClientError(Exception):
    """As botocore calls what fails before an answer."""


class StatusError(Exception):
    """As libraries of HTTP raise it."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


@pytest.fixture
def files(tmp_path: Path, server: Any) -> Path:
    for name in ("top/cat/1.jpg", "top/cat/deep/2.jpg", "top/dog/3.jpg", "top/.hidden/4.jpg", "top/list.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(f"{name} {'x' * len(name)}".encode())
    send(tmp_path, server, "b")
    return tmp_path


def test_answers_are_those_of_the_same_files_here(files: Path) -> None:
    for name in ("top", "top/cat", "top/cat/1.jpg", "top/none", "top/cat/none.jpg", "none"):
        here, there = files / name, anywhere.place(f"flaky://b/{name}")
        assert (there.exists(), there.is_dir(), there.is_file()) == (here.exists(), here.is_dir(), here.is_file())
        assert anywhere.exists(there) == here.exists()
        assert (there.name, there.suffix, str(there.parent)) == (
            here.name,
            here.suffix,
            f"flaky://b/{name}"[: -len(here.name) - 1],
        )
    root, there = files / "top", anywhere.place("flaky://b/top")
    assert {one.name: one.is_dir() for one in anywhere.scandir(there)} == {
        one.name: one.is_dir() for one in os.scandir(root)
    }
    assert sorted(anywhere.listdir(there)) == sorted(os.listdir(root))
    shown = [path for path in sorted(root.rglob("*.jpg")) if ".hidden" not in path.parts]
    assert [str(p.relative_to(there)) for p in sorted(there.rglob("*.jpg"))] == [
        str(p.relative_to(root)) for p in shown
    ]
    for span in ((0, None), (3, None), (2, 5), (-4, None), (-400, None)):
        assert anywhere.read(there / "list.csv", *span) == anywhere.read(root / "list.csv", *span)
    assert anywhere.size(there / "list.csv") == (root / "list.csv").stat().st_size


def test_a_url_in_a_table_stays_what_it_is() -> None:
    assert anywhere.join("s3://b/x", "a/1.jpg") == "s3://b/x/a/1.jpg"
    assert anywhere.join("/data", "s3://b/1.jpg") == "s3://b/1.jpg"
    assert anywhere.place("file:///data/x") == Path("/data/x")
    assert not anywhere.is_remote("C:/data")
    assert not anywhere.is_remote(Path("s3:/b"))


def test_a_folder_is_listed_once_and_seen_anew_when_forgotten(files: Path, server: Any) -> None:
    remote.look_below("flaky://b/top")
    folders = len(Flaky.requests)
    assert folders == 4, "what is hidden is not asked for"
    before = anywhere.mark("flaky://b/top/list.csv")
    assert anywhere.exists("flaky://b/top/cat/deep/2.jpg")
    assert not anywhere.exists("flaky://b/top/cat/deep/3.jpg")
    assert len(Flaky.requests) == folders
    server.pipe_file("/b/top/list.csv", b"longer than it was before")
    assert anywhere.mark("flaky://b/top/list.csv") == before, "one command sees one state"
    remote.forget()
    assert anywhere.mark("flaky://b/top/list.csv") != before


PASSING = [
    OSError(errno.EBUSY, "SlowDown"),
    TimeoutError("read"),
    ConnectionResetError("peer"),
    HTTPClientError("no connection"),
    StatusError(503),
    StatusError(429),
]


@pytest.mark.parametrize("error", PASSING, ids=repr)
@pytest.mark.parametrize("kind", ["ls", "cat"])
def test_what_passes_is_asked_again_and_said_once(kind: str, error: Exception, files: Path) -> None:
    Flaky.failures[kind] = [error, error]
    assert anywhere.read("flaky://b/top/list.csv") == (files / "top/list.csv").read_bytes()
    assert anywhere.exists("flaky://b/top/list.csv")
    assert len([one for one in Flaky.requests if one[0] == kind]) == 3
    (sentence,) = drives.said()
    assert sentence.startswith("a server failed at 1 request, which went well when tried again; the first: flaky://b/")
    assert drives.said() == []


@pytest.mark.parametrize("error", PASSING, ids=repr)
def test_what_does_not_pass_ends_in_one_line(error: Exception, files: Path) -> None:
    Flaky.failures["cat"] = [error] * 9
    with pytest.raises(drives.DriveError, match=r"^flaky://b/top/list\.csv: .*; tried 4 times, .* goes on$"):
        anywhere.read("flaky://b/top/list.csv")
    assert len(Flaky.requests) == 4, "as often as WAITS has it, and once"
    assert drives.said() == []


def test_waits_double_and_differ_by_chance(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = list[float]()
    monkeypatch.setattr(servers, "WAITS", WAITS)
    monkeypatch.setattr("sslkit.store.servers.time.sleep", waited.append)
    for _ in range(2):
        Flaky.failures["cat"] = [TimeoutError("read")] * 5
        anywhere.read("flaky://b/top/list.csv")
    assert len(waited) == 2 * len(WAITS) == 10
    assert all(wait / 2 <= found <= 1.5 * wait for wait, found in zip(WAITS * 2, waited, strict=True))
    assert waited[:5] != waited[5:]


def test_an_outer_read_does_not_multiply_the_tries(files: Path) -> None:
    Flaky.failures["cat"] = [StatusError(500)] * 99
    with pytest.raises(drives.DriveError):
        drives.tried_again(anywhere.read)("flaky://b/top/list.csv")
    assert len(Flaky.requests) == 4


@pytest.mark.parametrize("error", [PermissionError("Forbidden"), StatusError(403), StatusError(401)], ids=repr)
def test_who_is_not_let_in_is_told_at_once(error: Exception, files: Path) -> None:
    Flaky.failures["cat"] = [error]
    with pytest.raises(Denied, match=r"^flaky://b/top/list\.csv: the server does not let this user in"):
        anywhere.read("flaky://b/top/list.csv")
    assert len(Flaky.requests) == 1


def test_files_of_a_folder_that_may_not_be_listed_are_asked_for_one_by_one(files: Path) -> None:
    Flaky.failures["ls"] = [PermissionError("AccessDenied")]
    assert anywhere.exists("flaky://b/top/list.csv")
    assert not anywhere.exists("flaky://b/top/none.csv")
    assert anywhere.size("flaky://b/top/list.csv") == (files / "top/list.csv").stat().st_size
    assert [kind for kind, _ in Flaky.requests] == ["ls", "info", "info"], "it is not asked again for the list"


def test_errors_of_no_known_kind_are_one_line(files: Path) -> None:
    Flaky.failures["cat"] = [RuntimeError("of a\nbackend")]
    with pytest.raises(UserError, match=r"^flaky://b/top/list\.csv: RuntimeError: of a$"):
        anywhere.read("flaky://b/top/list.csv")
    with pytest.raises(FileNotFoundError):
        anywhere.read("flaky://b/none")
    assert len(Flaky.requests) == 2


@pytest.mark.parametrize(
    ("url", "words"), [("s3://b/x", "pip install s3fs"), ("gs://b/x", "pip install gcsfs"), ("odd://b", "'odd'")]
)
def test_what_is_not_installed_is_named(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_systems", {})
    for scheme, name in (("s3", "s3fs"), ("gs", "gcsfs")):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, scheme, raising=False)
    with pytest.raises(UserError, match=words):
        anywhere.read(url)


def test_a_member_of_a_tar_file_is_read_where_it_lies(tmp_path: Path, server: Any) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("x.txt", "y.jpg"):
            one = tarfile.TarInfo(name)
            one.size = 700
            archive.addfile(one, io.BytesIO(name.encode() * 140))
    with tarfile.open(tmp_path / "a.tar") as archive:
        spans = {one.name: (one.offset_data, one.size) for one in archive.getmembers()}
    send(tmp_path, server, "b")
    marks = set[str]()
    for file in (str(tmp_path / "a.tar"), "memory://b/a.tar"):
        places = {name: anywhere.member(file, *span, name) for name, span in spans.items()}
        assert anywhere.opened(places["y.jpg"]).read() == b"y.jpg" * 140
        assert anywhere.read(places["y.jpg"], -7) == b"pgy.jpg"
        assert anywhere.read(places["y.jpg"], 1, 4) == b".jp"
        assert anywhere.size(places["y.jpg"]) == 700
        assert anywhere.shown(places["y.jpg"]) == f"{file}/y.jpg"
        assert os.path.splitext(places["y.jpg"])[1] == ".jpg"
        marks |= {anywhere.mark(one) for one in places.values()}
        cut = anywhere.member(file, spans["y.jpg"][0], 10**6, "y.jpg")
        with pytest.raises(OSError, match="the file ends within it"):
            anywhere.read(cut)
    assert len(marks) == 4


@pytest.mark.parametrize("sizes", [(10, 100, 300_000, 5), (1_000_000, 1, 2_000_000), (0, 0, 512)])
def test_a_tar_file_on_a_server_has_the_members_that_it_has_here(
    sizes: tuple[int, ...], tmp_path: Path, server: Any
) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for i, size in enumerate(sizes):
            one = tarfile.TarInfo(f"{i}.bin")
            one.size = size
            archive.addfile(one, io.BytesIO(os.urandom(size)))
    send(tmp_path, server, "b")
    with (
        tarfile.open(tmp_path / "a.tar") as here,
        tarfile.open(fileobj=remote.Window("flaky://b/a.tar"), mode="r:") as there,
    ):
        for one, other in zip(here, there, strict=True):
            assert (one.name, one.offset_data, one.size) == (other.name, other.offset_data, other.size)
            a, b = here.extractfile(one), there.extractfile(other)
            assert a is not None
            assert b is not None
            assert a.read() == b.read()
