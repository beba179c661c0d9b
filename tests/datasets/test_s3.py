"""A real client of S3 against servers in this process: moto, which keeps buckets, and one that refuses or fails.

They need `pip install s3fs 'moto[server]'`; where REQUIRE_S3 is set, that they are missing is a failure.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from sslkit.prepare import prepare
from sslkit.store import anywhere, drives, remote, servers
from tests.cli.call import assert_refused, sslkit
from tests.datasets.make import own
from tests.datasets.test_wds import labelled

REQUEST: dict[str, Any] = {"data.labels": "2/class", "data.size": 8}
Answers = Callable[..., list[tuple[str, str]]]


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Credentials of nobody, and no wait between tries."""
    lacking = [name for name in ("s3fs", "moto") if find_spec(name) is None]
    if lacking and os.environ.get("REQUIRE_S3"):
        pytest.fail(f"{' and '.join(lacking)} must be installed here: pip install s3fs 'moto[server]'")
    if lacking:
        pytest.skip(f"{' and '.join(lacking)} not installed: pip install s3fs 'moto[server]'")
    for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(servers, "WAITS", (0.0, 0.0, 0.0))
    monkeypatch.setattr(servers, "_systems", {})
    remote.forget()
    drives.said()


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty one, `photos`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    made = boto3.resource("s3").Bucket("photos")
    made.create()
    yield made
    made.objects.delete()
    made.delete()
    server.stop()


def upload(bucket: Any, folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            bucket.put_object(Key=file.relative_to(folder).as_posix(), Body=file.read_bytes())


def test_a_folder_and_what_is_kept_of_it(tmp_path: Path, bucket: Any) -> None:
    own(tmp_path / "up/top")
    (tmp_path / "up/top/train/cat/a b+c=1%?#é.png").write_bytes((tmp_path / "up/top/train/cat/cat0.png").read_bytes())
    upload(bucket, tmp_path / "up")
    for mark in ("top/", "top/train/", "top/train/cat/"):  # as consoles make folders
        bucket.put_object(Key=mark, Body=b"")
    here = prepare({**REQUEST, "data.name": f"folder:{tmp_path}/up/top"})
    there = prepare({**REQUEST, "data.name": "folder:s3://photos/top"}, tmp_path / "cache")
    assert there.images.fingerprint == here.images.fingerprint
    assert [*there.images.names] == [*here.images.names]
    np.testing.assert_array_equal(there.split.labeled, here.split.labeled)
    again = prepare({**REQUEST, "data.name": "folder:s3://photos/top/"}, tmp_path / "cache")
    assert again.images.fingerprint == here.images.fingerprint


def test_tar_files(tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "up").mkdir()
    for i in range(3):
        labelled(tmp_path / f"up/shard-{i:06d}.tar", range(20 * i, 20 * i + 20))
    upload(bucket, tmp_path / "up")
    name = "shard-{000000..000002}.tar"
    here, there = (prepare({**REQUEST, "data.name": f"wds:{top}/{name}"}) for top in (tmp_path / "up", "s3://photos"))
    assert there.images.fingerprint == here.images.fingerprint
    assert len(there.images.names) == 60
    bucket.Object("shard-000001.tar").delete()
    assert_refused(sslkit("run", "--data", f"wds:s3://photos/{name}"), "not there: s3://photos/shard-000001.tar")


def test_what_is_not_there(tmp_path: Path, bucket: Any) -> None:
    bucket.put_object(Key="x/a.csv", Body=b"path,label\n")
    assert_refused(sslkit("run", "--data", "folder:s3://nobody/x"), "no folder s3://nobody/x")
    assert_refused(sslkit("run", "--data", "folder:s3://photos/y"), "no folder s3://photos/y")
    assert_refused(sslkit("run", "--data", "csv:s3://photos/y.csv"), "cannot read s3://photos/y.csv: No such file")
    assert anywhere.place("s3://photos/x/a.csv").is_file()
    assert not anywhere.place("s3://photos/x/a.csv").is_dir()


def test_a_file_that_is_sent_and_removed(tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "a").write_bytes(b"0123456789" * 10)
    remote.write(tmp_path / "a", "s3://photos/out/a")
    assert bucket.Object("out/a").get()["Body"].read() == b"0123456789" * 10
    assert anywhere.read("s3://photos/out/a", 5, 12) == b"5678901"
    assert anywhere.read("s3://photos/out/a", -3) == b"789"
    bucket.put_object(Key="out/empty", Body=b"")
    assert [anywhere.read("s3://photos/out/empty", *span) for span in ((0, None), (0, 6), (-3, None))] == [b""] * 3
    remote.remove("s3://photos/out/a")
    remote.forget()
    assert not anywhere.exists("s3://photos/out/a")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Starts a server that gives these answers, a status and a code of S3 each, and the last one for ever; what it was
    asked is in the list that it returns."""
    started = list[ThreadingHTTPServer]()

    def start(*given: tuple[int, str]) -> list[tuple[str, str]]:
        asked = list[tuple[str, str]]()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                asked.append((self.command, self.path))
                status, code = given[min(len(asked), len(given)) - 1]
                body = (
                    f"<Error><Code>{code}</Code><Message>of a test</Message></Error>".encode()
                    if status >= 300
                    else b"hello"
                )
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body if self.command != "HEAD" else b"")

            do_GET = do_HEAD = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        return asked

    yield start
    for server in started:
        server.shutdown()


@pytest.mark.parametrize("error", [(503, "SlowDown"), (500, "InternalError"), (503, "ServiceUnavailable")])
def test_a_server_that_fails_twice(error: tuple[int, str], answers: Answers) -> None:
    asked = answers(error, error, (200, ""))
    assert anywhere.read("s3://photos/a.txt") == b"hello"
    assert asked == [("GET", "/photos/a.txt")] * 3
    (said,) = drives.said()
    assert said.startswith(
        "a server failed at 1 request, which went well when tried again; the first: s3://photos/a.txt"
    )


@pytest.mark.parametrize("error", [(503, "SlowDown"), (500, "InternalError"), (503, "ServiceUnavailable")])
def test_tries_of_the_client_are_not_multiplied(error: tuple[int, str], answers: Answers) -> None:
    asked = answers(error)
    with pytest.raises(drives.DriveError, match=r"^s3://photos/a\.txt: .*tried 4 times"):
        anywhere.read("s3://photos/a.txt")
    assert len(asked) == 4


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_a_bucket_without_rights_is_one_line(code: str, answers: Answers) -> None:
    asked = answers((403, code))
    assert_refused(
        sslkit("run", "--data", "folder:s3://photos/x"), "s3://photos/x: the server does not let this user in"
    )
    assert len(asked) == 1
    for data in ("csv:s3://photos/l.csv", "parquet:s3://photos/p", "wds:s3://photos/{0..3}.tar"):
        assert_refused(sslkit("run", "--data", data), "does not let this user in")


def test_no_credentials_is_one_line(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    answers((403, "AccessDenied"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    assert_refused(
        sslkit("run", "--data", "folder:s3://photos/x"), "s3://photos/x: the server does not let this user in"
    )


def test_nobody_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert_refused(sslkit("run", "--data", "folder:s3://photos/x"), "EndpointConnectionError", "tried 4 times")
