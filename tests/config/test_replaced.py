"""A configuration file whose parts the command line replaces: their options go with them, and that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.recipes import layers
from tests.cli.call import assert_refused, folder_of, run, sslkit

FILE = """
[algo]
name = "ema_teacher"
lambda_u = 3.0
[mixer]
name = "prob_pseudo"
alpha = 0.5
[labeler]
name = "threshold"
tau = 0.7
smoothing = 0.0
"""


def made(tmp_path: Path, **asked: object) -> tuple[dict[str, object], list[str]]:
    (tmp_path / "c.toml").write_text(FILE)
    said: list[str] = []
    flat = layers(None, tmp_path / "c.toml", {k.replace("__", "."): v for k, v in asked.items()}, say=said.append)
    return dict(flat), said


def test_options_of_a_replaced_part_go_with_it(tmp_path: Path) -> None:
    flat, said = made(tmp_path, mixer="none")
    assert "mixer.alpha" not in flat
    assert flat["mixer.name"] == "none"
    assert said == ["gone with what is replaced, and left out: mixer.alpha=0.5"]
    same, nothing = made(tmp_path, mixer="prob_pseudo")
    assert same["mixer.alpha"] == 0.5
    assert nothing == []


def test_what_the_new_part_has_too_stays_unless_it_was_the_default(tmp_path: Path) -> None:
    flat, said = made(tmp_path, labeler="flexmatch", labeler__tau=0.9)
    assert flat["labeler.tau"] == 0.9
    flat, said = made(tmp_path, mixer="pseudo")
    assert flat["mixer.alpha"] == 0.5, "both have it, and 0.5 is nobody's default"
    assert said == []


def test_slots_that_the_new_algorithm_lacks_go(tmp_path: Path) -> None:
    flat, said = made(tmp_path, algo="supervised")
    assert not [key for key in flat if key.partition(".")[0] in ("mixer", "labeler")]
    assert "algo.lambda_u" not in flat
    assert "mixer.name=prob_pseudo" in said[0]


def test_a_runs_file_with_other_parts_makes_another_run_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sslkit.terminal.screen.step_seconds", lambda *_: {})
    first = run("--algo", "ema_teacher", "--json")
    file = folder_of(first, Path("runs")) / "config.toml"
    assert sslkit("run", "--config", file).err.count("is not gone on with") == 0, "the same run"
    for more in (("--mixer", "none"), ("--algo", "fixmatch"), ("--backbone", "wrn_10_1"), ("--algo", "supervised")):
        shown = sslkit("run", "--config", file, *more, "--show-config", "--json")
        assert shown.code == 0, shown.err
        said = " ".join(shown.err.split())
        assert f"{file.parent.name} is not gone on with, this is another run: {more[0][2:]}.name" in said
        assert "left out: " in said
    longer = sslkit("run", "--config", file, "--set", "semi.steps=9", "--show-config")
    assert "this is another run: semi.steps" in " ".join(longer.err.split())
    assert_refused(sslkit("run", "--config", file, "--algo", "fixmatsch"), "did you mean 'fixmatch'")
