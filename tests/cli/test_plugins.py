"""Foreign parts: by --plugin, and installed by entry points."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from sslkit import registry
from tests.cli.call import TINY, Call, assert_refused, folder_of, run, sslkit
from tests.conftest import real

ROOT = Path(__file__).parents[2]
PLUGINS = ROOT / "tests" / "plugins"
MIXER, ALGORITHM = ROOT / "examples" / "reverse_mixer.py", ROOT / "examples" / "agreement.py"


def forget() -> None:
    """As in a new process: no plug-in file is loaded."""
    registry.plugins.clear()


def with_mixer(*arguments: str) -> Call:
    return run("--plugin", str(MIXER), "--algo", "fixmatch", "--mixer", "reverse", "--json", *arguments)


@pytest.mark.parametrize("file", [MIXER, ALGORITHM])
def test_an_example_is_one_short_file(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 40


def test_a_foreign_mixer_trains_and_is_named() -> None:
    made = with_mixer("--set", "mixer.share=0.3", "--set", "labeler.tau=0.1")
    assert made.code == 0, made.err
    assert made.json["config"]["mixer.share"] == 0.3
    assert made.json["stages"][-1]["method"] == "fixmatch x reverse"
    about = json.loads((folder_of(made, Path("runs")) / "run.json").read_text())
    assert list(about["plugins"]) == [str(MIXER)]


def test_a_foreign_algorithm_trains() -> None:
    made = run("--plugin", ALGORITHM, "--algo", "agreement", "--json")
    assert made.code == 0, made.err
    row = made.json["stages"][-1]
    assert row["method"] == "agreement"
    line = (Path("runs/stages") / row["key"] / "metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(line)["consistency"] > 0


def test_options_of_a_foreign_part_are_checked() -> None:
    assert_refused(with_mixer("--set", "mixer.share=2"), "mixer.share must be in [0, 1]")
    assert_refused(with_mixer("--set", "mixer.shar=0.3"), "'mixer.share'")
    assert_refused(run("--plugin", ALGORITHM, "--algo", "agreement", "--mixer", "none"), "has no mixer")
    assert not Path("runs").exists()


def test_a_run_with_a_plugin_needs_it_again() -> None:
    folder = folder_of(with_mixer(), Path("runs"))
    config = folder / "config.toml"
    expected = next(iter(json.loads((folder / "run.json").read_text())["plugins"].values()))
    forget()
    for call in (
        sslkit("run", "--config", config),
        sslkit("run", "--config", config, "--again"),
        sslkit("predict", folder, "--test"),
    ):
        assert_refused(call, f"--plugin {MIXER}", expected)
    assert sslkit("show", folder).code == 0
    again = sslkit("run", "--config", config, "--plugin", MIXER, "--json")
    assert again.code == 0
    assert "is finished" in again.err
    assert sslkit("predict", folder, "--test", "--plugin", MIXER).code == 0


def test_a_plugin_that_has_changed_is_named() -> None:
    file = Path("own.py").resolve()
    text = (PLUGINS / "swap.py").read_text()
    file.write_text(text)
    made = run("--plugin", file, "--algo", "fixmatch", "--mixer", "swap", "--json")
    folder = folder_of(made, Path("runs"))
    forget()
    file.write_text(text + "# changed\n")
    assert_refused(sslkit("predict", folder, "--test", "--plugin", file), "own.py", "has changed")


def test_a_plugin_may_be_moved() -> None:
    """Its content is what counts."""
    Path("a").mkdir()
    file, moved = Path("a/own.py"), Path("own.py")
    file.write_text((PLUGINS / "swap.py").read_text())
    made = run("--plugin", file, "--algo", "fixmatch", "--mixer", "swap", "--json")
    assert made.code == 0, made.err
    forget()
    file.rename(moved)
    config = folder_of(made, Path("runs")) / "config.toml"
    again = sslkit("run", "--config", config, "--plugin", moved, "--json")
    assert again.code == 0, again.err
    assert "is finished" in again.err


def test_list_shows_a_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    rows = sslkit("list", "mixers", "--plugin", MIXER, "--json").json["parts"]
    (row,) = [row for row in rows if row["name"] == "reverse"]
    assert row["description"].startswith("Blend each image")
    assert str(MIXER) in row["origin"]


def test_a_configuration_cannot_load_code() -> None:
    """A file may say which plug-in a run needs; only the command line loads one."""
    Path("c.toml").write_text(f'algo = "agreement"\n[plugins]\n"{ALGORITHM}" = "{"0" * 64}"\n')
    assert_refused(run("--config", "c.toml"), "--plugin")
    assert not registry.plugins


@pytest.mark.slow
def test_installed_parts_are_found_by_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution as pip leaves it: a module, and a dist-info folder with metadata and entry points."""
    site = tmp_path / "site"
    about = site / "sslkit_extras-1.5.dist-info"
    about.mkdir(parents=True)
    for file in (MIXER, ALGORITHM):
        (site / f"extras_{file.name}").write_text(file.read_text())
    (about / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: sslkit-extras\nVersion: 1.5\nSummary: Parts of a stranger\n"
    )
    (about / "entry_points.txt").write_text(
        "[sslkit.mixers]\nreverse = extras_reverse_mixer:Reverse\nbroken = extras_gone:Gone\n"
        "[sslkit.algorithms]\nagreement = extras_agreement:Agreement\n"
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", real)
    registry.installed.cache_clear()
    monkeypatch.syspath_prepend(site)

    rows = {row["name"]: row for row in sslkit("list", "mixers", "--json").json["parts"]}
    assert rows["reverse"]["origin"] == "sslkit-extras 1.5"
    assert rows["reverse"]["description"] == "Parts of a stranger"
    assert "extras_reverse_mixer" not in sys.modules
    checked = sslkit("list", "--check", "--json")
    assert checked.code == 2
    assert {row["name"] for row in checked.json["parts"] if row["problem"]} == {"broken"}
    made = sslkit("run", *TINY, "--algo", "fixmatch", "--mixer", "reverse", "--json")
    assert made.code == 0, made.err
    assert sslkit("run", *TINY, "--algo", "agreement", "--json").code == 0
    assert_refused(sslkit("run", *TINY, "--mixer", "broken"), "sslkit-extras 1.5", "extras_gone")
