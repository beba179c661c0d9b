"""Data on a server are read as the same data here: classes, parts, pixels, split and keys."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sslkit.data.checking import bad_images
from sslkit.data.on_demand import OnDemand
from sslkit.prepare import Prepared, prepare
from sslkit.sklearn.images import paths_in
from sslkit.store import drives
from tests.cli.call import assert_refused, sslkit
from tests.datasets.make import own, picture, read
from tests.store.servers import Flaky, send, server

__all__ = ["server"]
REQUEST: dict[str, Any] = {"data.labels": "2/class", "data.size": 8}


def write_all(root: Path) -> None:
    """A folder of photos, tables of them, and parquet files."""
    own(root / "photos")
    paths = sorted(path.relative_to(root).as_posix() for path in (root / "photos/train").rglob("*.png"))
    words = [path.split("/")[2] for path in paths]
    pd.DataFrame({"path": paths, "label": words}).to_csv(root / "t.csv", index=False)
    pd.DataFrame({"path": [f"flaky://b/{path}" for path in paths], "label": words}).to_csv(
        root / "urls.csv", index=False
    )
    pd.DataFrame({"path": [path.rpartition("/")[2] for path in paths], "label": words}).to_csv(
        root / "l.csv", index=False
    )
    pd.DataFrame({"path": paths[3:5]}).to_csv(root / "few.csv", index=False)
    pd.DataFrame({"Index": [0, 7]}).to_csv(root / "i.csv", index=False)
    (root / "p").mkdir()
    for part in ("train", "test"):
        files = sorted((root / "photos" / part).rglob("*.png"))
        rows = {"image": [file.read_bytes() for file in files], "label": [file.parent.name for file in files]}
        pd.DataFrame(rows).to_parquet(root / f"p/{part}-0.parquet")
    label = np.array([words.index(word) > 0 for word in words], np.int64)
    np.savez(root / "a.npz", images=np.array(paths), label=label, classes=np.array(["cat", "dog"]))


def same(here: Prepared, there: Prepared, *, whole: bool = True) -> None:
    assert there.images.classes == here.images.classes
    assert [*there.images.names] == [*here.images.names]
    every = np.arange(len(here.images.names))
    np.testing.assert_array_equal(here.images.subset(every)[:], there.images.subset(every)[:])
    for part, index in here.split.parts().items():
        np.testing.assert_array_equal(there.split.parts()[part], index)
    assert (there.images.fingerprint == here.images.fingerprint) == whole


@pytest.mark.parametrize(
    ("kind", "name", "more"),
    [
        ("folder", "photos", {}),
        ("folder", "photos", {"data.test": "test", "data.train": "train"}),
        ("folder", "photos/train", {}),
        ("csv", "t.csv", {}),
        ("parquet", "p", {}),
        ("parquet", "p/train-0.parquet", {}),
        ("arrays", "a.npz", {}),
        ("folder", "photos", {"data.labels": "file:l.csv"}),
        ("folder", "photos", {"data.labels": "index:i.csv"}),
        ("folder", "photos", {"data.pool": "without:few.csv"}),
    ],
)
def test_data_on_a_server_are_the_same_data(
    kind: str, name: str, more: dict[str, str], tmp_path: Path, server: Any
) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    there = {key: value.replace(":", ":flaky://b/") for key, value in more.items()}
    here = {key: value.replace(":", f":{tmp_path}/") for key, value in more.items()}
    a = prepare({**REQUEST, "data.name": f"{kind}:{tmp_path / name}", **here}, tmp_path / "a")
    b = prepare({**REQUEST, "data.name": f"{kind}:flaky://b/{name}", **there}, tmp_path / "b")
    same(a, b)


def test_a_table_here_may_name_images_there(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    a = prepare({**REQUEST, "data.name": f"csv:{tmp_path / 't.csv'}", "data.test": "none"})
    b = prepare({**REQUEST, "data.name": f"csv:{tmp_path / 'urls.csv'}", "data.test": "none"})
    assert a.images.fingerprint == b.images.fingerprint
    assert b.images.names[0] == f"flaky://b/{a.images.names[0]}"


def test_an_estimator_takes_urls(tmp_path: Path) -> None:
    assert paths_in(["flaky://b/1.png", "2.png"]) == ["flaky://b/1.png", str(tmp_path / "2.png")]


def test_images_that_are_decoded_for_every_batch(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    a, b = (
        prepare({**REQUEST, "data.name": f"folder:{top}/photos", "data.cache_gb": 1e-9}, tmp_path / "cache")
        for top in (str(tmp_path), "flaky://b")
    )
    assert isinstance(b.images.pixels, OnDemand)
    same(a, b, whole=False)  # files are told apart by where they are, here as there


def test_a_second_command_asks_for_lists_alone(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    request = {**REQUEST, "data.name": "folder:flaky://b/photos"}
    prepare(request, tmp_path / "cache")
    Flaky.requests.clear()
    prepare(request, tmp_path / "cache")
    assert {kind for kind, _ in Flaky.requests} == {"ls"}
    assert len(Flaky.requests) == len({*Flaky.requests}), "each folder once"
    server.pipe_file("/b/photos/train/cat/cat0.png", picture(tmp_path / "new.png", 77).read_bytes())
    Flaky.requests.clear()
    prepare(request, tmp_path / "cache")
    assert ("cat", "/b/photos/train/cat/cat0.png") in Flaky.requests, "it has changed"


def test_a_server_that_fails_at_times(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    a = prepare({**REQUEST, "data.name": f"folder:{tmp_path}/photos"})
    Flaky.failures |= {"ls": [OSError(errno.EBUSY, "SlowDown")] * 2, "cat": [TimeoutError("read")] * 2}
    b = prepare({**REQUEST, "data.name": "folder:flaky://b/photos"})
    assert a.images.fingerprint == b.images.fingerprint
    (said,) = [remark for remark in b.remarks if remark.startswith("a server failed at ")]
    assert "went well when tried again" in said
    assert drives.said() == []


def test_a_server_that_is_gone_is_to_blame_and_not_the_images(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    found = prepare({**REQUEST, "data.name": "folder:flaky://b/photos", "data.cache_gb": 1e-9}).images
    assert isinstance(found.pixels, OnDemand)
    Flaky.failures["cat"] = [TimeoutError("read")] * 10_000
    with pytest.raises(drives.DriveError, match="tried 4 times"):
        found.subset(np.arange(3))[:]
    with pytest.raises(drives.DriveError):
        bad_images(read("folder", dir="flaky://b/photos")[1], "train")


REFUSED = [
    ("folder:flaky://b/none", [], {}, "no folder flaky://b/none"),
    ("csv:flaky://b/none.csv", [], {}, "cannot read flaky://b/none.csv: No such file"),
    ("parquet:flaky://b/none", [], {}, "no folder or file flaky://b/none"),
    ("folder:flaky://b/photos", ["--labels", "file:flaky://b/none.csv"], {}, "flaky://b/none.csv"),
    (
        "folder:flaky://b/photos",
        [],
        {"ls": PermissionError("AccessDenied")},
        "does not let this user in (PermissionError",
    ),
    ("csv:flaky://b/t.csv", [], {"cat": PermissionError("AccessDenied")}, "flaky://b/t.csv: the server does not let"),
    ("folder:flaky://b/photos", [], {"ls": TimeoutError("read")}, "tried 4 times"),
    ("flaky://b/photos", [], {}, "folder:flaky://b/photos"),
    ("flaky://b/t.csv", [], {}, "csv:flaky://b/t.csv"),
]


@pytest.mark.parametrize(("data", "more", "fails", "words"), REFUSED)
def test_what_cannot_be_read_is_one_line(
    data: str, more: list[str], fails: dict[str, Exception], words: str, tmp_path: Path, server: Any
) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    Flaky.failures |= {kind: [error] * 999 for kind, error in fails.items()}
    assert_refused(sslkit("run", "--data", data, *more), words)


def test_the_report_takes_a_url(tmp_path: Path, server: Any) -> None:
    write_all(tmp_path)
    send(tmp_path, server, "b")
    for name, kind in (("photos", "folder"), ("t.csv", "csv"), ("p", "parquet")):
        here, there = (sslkit("data", f"{top}/{name}", "--json").json for top in (tmp_path, "flaky://b"))
        assert there["data"] == f"{kind}:flaky://b/{name}"
        assert there["parts"] == here["parts"]
        assert there["classes"] == here["classes"]
    assert_refused(sslkit("data", "flaky://b/none"), "no folder or file 'flaky://b/none'")
