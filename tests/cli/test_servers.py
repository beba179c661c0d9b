"""Commands with data and results on a server."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished
from tests.datasets.make import own
from tests.store.servers import Flaky, send, server

__all__ = ["server"]


def test_a_run_on_moved_data_has_the_same_stages(tmp_path: Path, server: Any, untimed: None) -> None:
    own(tmp_path / "photos")
    send(tmp_path, server, "b")
    words = ("--labels", "2/class", "--json", "--set", "labeler.tau=0.95")
    here, there = (run("--data", f"folder:{top}/photos", *words).json for top in (tmp_path, "flaky://b"))
    assert [row["key"] for row in here["stages"]] == [row["key"] for row in there["stages"]]
    folder = Path("runs") / there["run"]
    a = sslkit("predict", folder, str(tmp_path / "photos/test"), "--out", "a.csv", "--json").json
    b = sslkit("predict", folder, "flaky://b/photos/test", "--out", "flaky://b/out/b.csv", "--json").json
    assert a["top1"] == b["top1"]
    mine, theirs = Path("a.csv").read_text("utf-8"), server.cat_file("/b/out/b.csv").decode()
    assert theirs.replace("flaky://b/", f"{tmp_path}/") == mine
    assert_refused(sslkit("predict", folder, "flaky://b/photos", "--out", "flaky://b/out/b.csv"), "not overwritten")
    c = sslkit("predict", folder, f"csv:{_list(server)}", "--out", "c.csv", "--json").json
    assert c["images"] == 2


def _list(server: Any) -> str:
    rows = [["path", "label"], ["photos/test/cat/t_cat0.png", "cat"], ["flaky://b/photos/test/dog/t_dog0.png", "dog"]]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    server.pipe_file("/b/new.csv", text.getvalue().encode())
    return "flaky://b/new.csv"


@pytest.mark.parametrize(("form", "name"), [("timm", "model"), ("torch", "model.pt2"), ("run", "r.zip"), ("run", "r")])
def test_an_export_is_what_it_is_here(form: str, name: str, finished: Finished, server: Any) -> None:
    done = sslkit("export", finished.folder, "--format", form, "--out", f"flaky://b/x/{name}")
    assert done.code == 0, done.err
    assert f"flaky://b/x/{name}" in done.out
    assert sslkit("export", finished.folder, "--format", form, "--out", name).code == 0
    sent = {path.removeprefix("/b/x/"): server.cat_file(path) for path in server.find("/b/x")}
    files = {str(file): file.read_bytes() for file in sorted(Path().rglob("*")) if file.is_file()}
    assert sent.keys() == files.keys()
    for file, content in files.items():
        if file.endswith((".zip", ".pt2")):
            assert zipfile.ZipFile(io.BytesIO(sent[file])).namelist() == zipfile.ZipFile(file).namelist()
        elif file.endswith(".json"):
            assert json.loads(sent[file]).keys() == json.loads(content).keys()
        else:
            assert sent[file] == content
    again = sslkit("export", finished.folder, "--format", form, "--out", f"flaky://b/x/{name}")
    assert_refused(again, f"flaky://b/x/{name} exists and is not overwritten")


def test_an_export_that_cannot_be_sent_leaves_nothing(finished: Finished, server: Any) -> None:
    Flaky.failures["put"] = [TimeoutError("write"), PermissionError("AccessDenied")]
    found = sslkit("export", finished.folder, "--out", "flaky://b/x/model")
    assert_refused(found, "nothing is written", "flaky://b/x/model/", "does not let this user in")
    assert server.find("/b/x") == []
    real, sent = Flaky.put_file, list[str]()

    def second_fails(self: Flaky, lpath: str, rpath: str, *words: Any, **more: Any) -> None:
        sent.append(rpath)
        if len(sent) > 1:
            raise PermissionError("quota")
        real(self, lpath, rpath, *words, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flaky, "put_file", second_fails)
        assert_refused(sslkit("export", finished.folder, "--out", "flaky://b/x/model"), "nothing is written")
    assert len(sent) == 2
    assert server.find("/b/x") == [], "what was sent before is gone"


def test_runs_lie_on_a_disk() -> None:
    assert_refused(run("--runs", "flaky://b/runs"), "--runs flaky://b/runs: runs lie on a disk")
    assert not [*Path().iterdir()]


def test_where_an_export_cannot_go(finished: Finished, server: Any) -> None:
    assert_refused(sslkit("export", finished.folder, "--out", "flaky://b"), "name a file or folder below it")
    assert_refused(sslkit("export", "gone", "--out", "flaky://b/m"), "gone is not a finished run")
    named = sslkit("export", finished.folder, "--format", "mae", "--out", "flaky://b/m.bin")
    assert_refused(named, "--out flaky://b/m.bin: the file of an MAE checkpoint")
    assert folder_of(finished.call, finished.runs).is_dir()
