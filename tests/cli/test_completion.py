"""What a shell completes, asked as shells ask, without torch; and by a bash that runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import BashComplete, ShellComplete, ZshComplete

from sslkit.cli import cli
from tests.cli.conftest import Finished


def completed(*words: str, shell: type[ShellComplete] = BashComplete) -> list[str]:
    """What may stand in the place of the last word."""
    complete = shell(cli, {}, "sslkit", "_SSLKIT_COMPLETE")
    return [item.value for item in complete.get_completions([*words[:-1]], words[-1])]


@pytest.mark.parametrize(
    ("words", "some"),
    [
        (["co"], {"compare", "convert"}),
        (["runs", ""], {"ls", "rm", "diff", "merge"}),
        (["run", "--algo", "fixm"], {"fixmatch"}),
        (["run", "--backbone", "vit_m"], {"vit_micro", "vit_mini"}),
        (["run", "--mixer", "prob"], {"prob_pseudo"}),
        (["run", "--data", "digi"], {"digits"}),
        (["run", "--recipe", "fixm"], {"fixmatch_cifar10_250"}),
        (["run", "--progress", ""], {"bar", "json", "none"}),
        (["compare", "--algo", "uda,fixm"], {"uda,fixmatch"}),
        (["compare", "--study", "meth"], {"methods"}),
        (["check", "uda"], {"uda", "udal"}),
        (["list", "algo"], {"algorithms"}),
        (["data", "digi"], {"digits"}),
        (["schema", "runs"], {"runs ls", "runs rm", "runs diff", "runs merge"}),
    ],
)
def test_names(words: list[str], some: set[str]) -> None:
    assert {*completed(*words)} == some


def test_runs_of_the_store(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.runs.parent)
    assert completed("show", "runs/dig") == [f"runs/{finished.folder.name}"]
    assert completed("runs", "rm", "dig") == [finished.folder.name]
    monkeypatch.chdir("/")
    assert completed("runs", "diff", "--runs", str(finished.runs), "dig") == [finished.folder.name]
    complete = BashComplete(cli, {}, "sslkit", "_SSLKIT_COMPLETE").get_completions(["show"], "elsew")
    assert [item.type for item in complete] == ["dir"], "a run may be anywhere"


def test_zsh_shows_what_a_part_does() -> None:
    (item,) = ZshComplete(cli, {}, "sslkit", "_SSLKIT_COMPLETE").get_completions(["run", "--algo"], "fixm")
    assert item.help == "The confident label of the weak view is the target of the strong view."


def test_a_plug_in_is_not_run_while_completing(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()", "utf-8")
    assert completed("list", "--plugin", str(tmp_path / "own.py"), "mix") == ["mixers"]
    assert not (tmp_path / "ran").exists()


def test_completing_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom sslkit.cli import main\ntry:\n    main([])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'numpy', 'rich', 'pandas', 'sklearn'} & sys.modules.keys()\nassert not heavy, heavy"
    )
    for line in ("sslkit run --algo fix", "sslkit ", "sslkit compare --backbone vit", "sslkit show "):
        asked = {"_SSLKIT_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        subprocess.run([sys.executable, "-c", code], env=os.environ | asked, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_a_bash_that_runs(tmp_path: Path) -> None:
    program = tmp_path / "sslkit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sslkit "$@"\n', "utf-8")
    program.chmod(0o755)
    script = (
        'eval "$(_SSLKIT_COMPLETE=bash_source sslkit)"\ncomplete -p sslkit\n'
        "COMP_WORDS=(sslkit run --algo fixm) COMP_CWORD=3\n_sslkit_completion sslkit\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "fixmatch"
    assert "_sslkit_completion" in done.stdout
