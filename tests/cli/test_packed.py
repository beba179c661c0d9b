"""`sslkit export --format run`: a run that is taken away works where nothing else of it is."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from sslkit import registry
from tests.cli.call import Call, assert_refused, folder_of, run, sslkit
from tests.cli.conftest import Finished
from tests.cli.test_plugins import PLUGINS


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    _, train, _ = registry.load("dataset", "digits")().read()
    for i in range(12):
        Image.fromarray(train.images[i]).save(folder / f"{i}.png")
    return folder


def predicted(folder: Path, images: Path, *options: str) -> pd.DataFrame:
    called = sslkit("predict", folder, images, "--all", "--out", f"{folder.name}.csv", *options)
    assert called.code == 0, called.err
    return pd.read_csv(f"{folder.name}.csv")


@pytest.mark.parametrize("out", ["taken", "Über uns.ZIP"])
def test_it_works_where_the_store_is_not(out: str, finished: Finished, images: Path) -> None:
    """In another folder, under another name, with the store out of sight."""
    store = Path("store")
    shutil.copytree(finished.runs, store)
    run_ = store / finished.folder.name
    before = predicted(run_, images)
    packed = sslkit("export", run_, "--format", "run", "--out", out)
    assert packed.code == 0, packed.err
    shown = sslkit("show", run_, "--json")
    shutil.rmtree(store)
    away = Path("away") / "here"
    away.mkdir(parents=True)
    if out.lower().endswith(".zip"):
        assert_refused(sslkit("predict", out, images, "--out", "no.csv"), "unpack it")
        with zipfile.ZipFile(out) as archive:
            archive.extractall(away)
        Path(out).unlink()
    else:
        shutil.move(out, away)
    [folder] = away.iterdir()
    folder = folder.rename(away / "renamed")
    pd.testing.assert_frame_equal(predicted(folder, images), before)
    assert sslkit("show", folder, "--json").results == shown.results
    assert sslkit("export", folder, "--out", "timm").code == 0
    again = sslkit("predict", folder, "--test", "--out", "test.csv", "--json")
    assert again.json["top1"] == finished.call.json["headline"]["top1"]
    assert sslkit("export", folder, "--format", "run", "--out", "twice").code == 0
    left = {p.relative_to("twice") for p in Path("twice").rglob("*") if p.is_file()}
    assert left == {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    started = run("--weights", folder, "--stages", "finetune", "--set", "finetune.steps=1")
    assert started.code == 0, started.err


def test_mistakes(finished: Finished) -> None:
    Path("full").mkdir()
    Path("full/file").touch()
    asked = ("export", finished.folder, "--format", "run", "--out")
    assert_refused(sslkit(*asked, "full"), "not overwritten")
    assert_refused(sslkit(*asked, "new", "--network", "best"), "drop --network")
    assert_refused(sslkit(*asked, "gone/new.zip"), "no folder gone")
    assert not Path("new").exists()
    copied = Path("copied")
    shutil.copytree(finished.folder, copied)
    assert_refused(sslkit("predict", copied, "full"), "--format run")


def forget() -> None:
    """As in a new process: no plug-in file is loaded."""
    registry.plugins.clear()


def with_plugin() -> Call:
    plugin = ("--plugin", str(shutil.copy(PLUGINS / "swap.py", "own.py")))
    short = ("--set", "finetune.steps=1", "--set", "semi.steps=1", "--adapt", "lora")
    return run(*plugin, "--algo", "fixmatch", "--mixer", "swap", *short, "--json")


def test_the_plugin_file_and_frozen_weights_go_with_it(images: Path, untimed: None) -> None:
    made = with_plugin()
    assert made.code == 0, made.err
    packed = sslkit("export", folder_of(made, Path("runs")), "--format", "run", "--out", "taken")
    assert packed.code == 0, packed.err
    assert "--plugin FOLDER/plugins/own.py" in packed.out
    before = predicted(folder_of(made, Path("runs")), images)
    shutil.rmtree("runs")
    Path("own.py").unlink()
    forget()
    assert_refused(sslkit("predict", "taken", images), "--plugin taken/plugins/own.py")
    after = predicted(Path("taken"), images, "--plugin", "taken/plugins/own.py")
    pd.testing.assert_frame_equal(after, before)
    assert json.loads(Path("taken/run.json").read_text())["plugins"].keys() == {"plugins/own.py"}
    assert '"plugins/own.py"' in Path("taken/config.toml").read_text()
