"""`--weights RUN` and folders that were exported: the backbone is the run's, where no other is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslkit.prepare import prepare
from tests.cli.call import assert_refused, folder_of, sslkit
from tests.datasets.make import pictures

SHORT = ("--labels", "2/class", "--stages", "finetune", "--set", "finetune.steps=1", "--set", "finetune.batch=4")


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    for i, folder in enumerate(("d/a", "d/b")):
        pictures(tmp_path / folder, [f"{i}{k}.png" for k in range(6)])
    return "folder:d"


@pytest.mark.parametrize("options", [{}, {"pool": "token", "patch": 2}])
def test_the_backbone_is_the_runs(options: dict[str, Any], photos: str) -> None:
    """For images of a size for which another would be chosen."""
    words = [f"--set=backbone.{name}={value}" for name, value in options.items()]
    call = sslkit("run", "--data", photos, *SHORT, "--backbone", "vit_micro", *words, "--json")
    assert call.code == 0, call.err
    run = folder_of(call, Path("runs"))
    request = {"data": photos, "data.labels": "2/class", "data.size": 32}
    assert prepare(request).config.backbone.name == "vit_tiny"
    made = prepare(request | {"weights": str(run)})
    assert made.config.backbone.name == "vit_micro"
    assert {k: v for k, v in made.config.backbone.options.items() if k in options} == options
    shown = "".join(f", backbone.{name}={value}" for name, value in sorted(options.items()))
    told = next(remark for remark in made.remarks if remark.startswith("backbone vit_micro"))
    assert {*told.split(", ")} == {*f"backbone vit_micro{shown}, as the run has it that is started from".split(", ")}
    assert sslkit("run", "--data", photos, *SHORT, "--size", 32, "--weights", run).code == 0
    named = prepare(request | {"weights": str(run), "backbone": "vit_mini"})
    assert named.config.backbone.name == "vit_mini", "it is asked for"
    Path("run.zip").touch()
    assert_refused(sslkit("run", *SHORT, "--weights", "run.zip"), "run.zip is an archive; unpack it, and name the run")
    assert_refused(
        sslkit("run", "--data", photos, *SHORT, "--weights", run, "--backbone", "wrn_10_1"), "of another architecture"
    )


def test_a_folder_that_was_exported_is_its_file(photos: str) -> None:
    call = sslkit("run", "--data", photos, *SHORT, "--backbone", "vit_micro", "--set", "data.stats=measured", "--json")
    assert sslkit("export", folder_of(call, Path("runs")), "--out", "out").code == 0
    request = {"data": photos, "data.labels": "2/class", "backbone": "vit_micro"}
    found = [prepare(request | {"weights": weights}) for weights in ("out", "out/model.safetensors")]
    assert found[0].config.data.stats == found[1].config.data.stats != "declared"
    assert sslkit("run", "--data", photos, *SHORT, "--backbone", "vit_micro", "--weights", "out").code == 0
