"""`sslkit export --format hub`: timm opens what it writes, the card says what is true, and `--push` uploads it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import timm
import torch
from huggingface_hub import ModelCard, constants

from sslkit.finished.hub import without_folders
from tests.cli.call import Call, assert_refused, sslkit
from tests.cli.conftest import Finished


@pytest.fixture(scope="module")
def exported(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Call]:
    out = tmp_path_factory.mktemp("hub") / "model"
    call = sslkit("export", finished.folder, "--format", "hub", "--out", out)
    assert call.code == 0, call.err
    return out, call


def test_timm_opens_it_and_gives_what_the_run_predicts(exported: tuple[Path, Call], finished: Finished) -> None:
    out, call = exported
    assert "opened by timm, agrees with the run on 200 test images" in call.out
    model = timm.create_model(f"local-dir:{out}", pretrained=True).eval()
    assert model.pretrained_cfg["label_names"] == [str(c) for c in range(10)]
    table = out.parent / "test.csv"
    assert sslkit("predict", finished.folder, "--test", "--all", "--out", table).code == 0
    head, first = (line.split(",") for line in table.read_text("utf-8").splitlines()[:2])
    size = model.pretrained_cfg["input_size"][-1]
    assert model(torch.zeros(1, 3, size, size)).shape == (1, 10)
    assert len(head) == len(first)


def test_transformers_opens_it(exported: tuple[Path, Call]) -> None:
    transformers = pytest.importorskip("transformers")
    model = timm.create_model(f"local-dir:{exported[0]}", pretrained=True).eval()
    theirs = transformers.TimmWrapperForImageClassification.from_pretrained(exported[0]).eval()
    size = model.pretrained_cfg["input_size"][-1]
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert theirs(pixel_values=images).logits.equal(model(images))
    assert theirs.config.id2label == {c: str(c) for c in range(10)}


def test_the_card_says_what_the_run_said(exported: tuple[Path, Call], finished: Finished) -> None:
    out, _ = exported
    card = ModelCard.load(out / "README.md")
    (score,) = card.data.eval_results
    headline = finished.call.json["headline"]
    assert score.metric_value == headline["top1"]
    low, high = (100 * value for value in headline["interval"])
    assert f"95% interval {low:.1f} to {high:.1f}" in card.text
    split = json.loads((finished.folder / "split.json").read_text("utf-8"))
    assert f"{len(split['labeled'])} labelled images, {len(split['pool'])} in the pool" in card.text
    assert "Trained from random weights" in card.text
    assert "differ from those of the run by" in card.text
    assert str(finished.runs.parent) not in card.content


def test_no_folder_of_this_machine_is_named() -> None:
    assert without_folders("folder:/home/me/photos/") == "folder:photos"
    assert without_folders("csv:/home/me/all.csv") == "csv:all.csv"
    assert without_folders("digits") == "digits"


def test_what_does_not_fit_is_refused(finished: Finished, exported: tuple[Path, Call], tmp_path: Path) -> None:
    command = ("export", finished.folder, "--out", tmp_path / "out")
    assert_refused(sslkit(*command, "--format", "hub", "--calibrated"), "drop --calibrated")
    assert_refused(sslkit(*command, "--format", "timm", "--push", "a/b"), "--push is of format hub")
    assert_refused(sslkit("export", finished.folder, "--format", "hub", "--out", exported[0]), "is not overwritten")
    assert not (tmp_path / "out").exists()


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload needs; what was asked stands in `asked`, what was sent in `files`."""

    asked: ClassVar[list[str]] = []
    files: ClassVar[dict[str, bytes]] = {}
    tokens: ClassVar[set[str | None]] = set()
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        self.tokens.add(self.headers.get("Authorization"))
        here = f"http://{self.headers['Host']}"
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            assert asked.get("visibility") == "private" or asked.get("private") is True  # by the client's version
            answer: Any = {"url": f"{here}/me/digits", "id": "me/digits"}
        elif self.path.endswith("/preupload/main"):
            names = [file["path"] for file in json.loads(body)["files"]]
            answer = {"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]}
        elif self.path.endswith("/commit/main"):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            answer = {"commitUrl": f"{here}/me/digits/commit/0", "commitOid": "0", "success": True}
        else:
            answer = {"errors": [], "warnings": []}
        text = json.dumps(answer).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for known in (Hub.asked, Hub.files, Hub.tokens):
        known.clear()
    monkeypatch.setattr(Hub, "status", 200)
    yield Hub
    server.shutdown()


def test_push_uploads_all_files_to_a_private_repository(
    finished: Finished, hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    out = tmp_path / "model"
    call = sslkit("export", finished.folder, "--format", "hub", "--out", out, "--push", "me/digits")
    assert call.code == 0, call.err
    assert "/me/digits, which is private" in call.out
    assert hub.files == {file.name: file.read_bytes() for file in out.iterdir()}
    assert {*hub.files} == {"README.md", "config.json", "model.safetensors"}
    assert hub.tokens == {"Bearer hf_test"}


def test_a_refused_push_leaves_the_folder(
    finished: Finished, hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(hub, "status", 403)
    out = tmp_path / "model"
    call = sslkit("export", finished.folder, "--format", "hub", "--out", out, "--push", "me/digits")
    assert call.code == 2
    assert len(call.err.strip().splitlines()) == 1
    assert "--push me/digits: " in call.err
    assert (out / "README.md").is_file()


def test_a_hub_that_is_not_there(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    call = sslkit("export", finished.folder, "--format", "hub", "--out", tmp_path / "model", "--push", "me/digits")
    assert call.code == 2
    assert len(call.err.strip().splitlines()) == 1
    assert "refused" in call.err


def test_no_token(finished: Finished, hub: type[Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
    call = sslkit("export", finished.folder, "--format", "hub", "--out", tmp_path / "model", "--push", "me/digits")
    assert call.code == 2
    assert "there is no token; `hf auth login`" in call.err
    assert not hub.files
    assert not (tmp_path / "model").exists()
