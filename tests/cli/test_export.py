"""`sslkit export`: the averaged network as timm reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file

from sslkit.augment.render import normalise
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import Finished


def test_timm_gives_the_stored_predictions(finished: Finished) -> None:
    assert sslkit("export", finished.folder, "--out", "model").code == 0
    about = json.loads(Path("model/config.json").read_text())
    assert about["label_names"] == list("0123456789")
    network = timm.create_model(f"local-dir:{Path('model').absolute()}", pretrained=True).eval()
    prepared = prepare({})
    pixels = torch.from_numpy(prepared.images.pixels[prepared.split.test])
    cfg = about["pretrained_cfg"]
    with torch.no_grad():
        found = network(normalise(pixels, torch.tensor(cfg["mean"]), torch.tensor(cfg["std"])))
    key = next(row["key"] for row in finished.call.json["stages"] if row["stage"] == "semi")
    stored = load_file(finished.runs / "stages" / key / "predictions.safetensors")["averaged"]
    torch.testing.assert_close(found, stored, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone", "--out", "new"], "not a finished run"),
        (["RUN", "--out", "full"], "not overwritten"),
        (["RUN"], "--out"),
    ],
)
def test_mistakes(arguments: list[str], words: str, finished: Finished) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    named = [str(finished.folder) if word == "RUN" else word for word in arguments]
    assert_refused(sslkit("export", *named), words)
    assert not Path("new").exists()
