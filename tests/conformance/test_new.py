"""`sslkit new` writes a package of every kind that passes its checks and its own test, and can be installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.templates import KIND
from tests.cli.call import assert_refused, sslkit


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_there_is_one_of_every_kind_but_pretrainers_and_trackers() -> None:
    assert {*KIND} == {*registry.KINDS} - {"pretrainer", "tracker"}


@pytest.mark.parametrize("kind", [k for k in KIND if k != "algorithm"])
def test_a_new_part_passes_its_checks(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "plugins", {})
    call = sslkit("new", kind, f"my_{kind}")
    assert call.code == 0, call.err
    written = call.out.splitlines()[:3]
    assert written == [f"my_{kind}/my_{kind}.py", f"my_{kind}/test_my_{kind}.py", f"my_{kind}/pyproject.toml"]
    checked = sslkit("check", "--plugin", written[0], f"my_{kind}", "--json")
    assert checked.code == 0, checked.err
    assert {one["state"] for one in checked.json["checks"]} == {"passed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mixr", "a"], "did you mean 'mixer'?"),
        (["mixer", "3a"], "'3a' cannot be the name of a module"),
        (["mixer", "class"], "'class' cannot be the name of a module"),
        (["mixer", "../a"], "cannot be the name of a module"),
        (["mixer", "there"], "there exists and is not overwritten"),
    ],
)
def test_mistakes(words: list[str], said: str) -> None:
    Path("there").mkdir()
    assert_refused(sslkit("new", *words), said)
    assert [path.name for path in Path().iterdir()] == ["there"]


@pytest.mark.slow
def test_the_package_is_installed_listed_run_and_tested(tmp_path: Path) -> None:
    """With its own test, in a process that knows it by its entry point alone."""
    assert sslkit("new", "algorithm", "mine").code == 0
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    python = [sys.executable, "-m"]
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--target", "site"]
    subprocess.run([*python, "pip", "install", *options, "./mine"], check=True)

    def out(*words: str) -> str:
        done = subprocess.run([*python, *words], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "sslkit-mine 0.1.0" in out("sslkit", "list", "algorithms", "--json")
    assert '"state": "failed"' not in out("sslkit", "check", "mine", "--json")
    sets = [word for key in ("finetune.steps=1", "semi.steps=2") for word in ("--set", key)]
    out("sslkit", "run", "--algo", "mine", "--backbone", "vit_micro", *sets)
    assert "1 passed" in out("pytest", "-q", "-p", "no:cacheprovider", "mine/test_mine.py")
