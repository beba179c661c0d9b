"""A store for the tests of `sslkit runs`, and short ways to look at it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sslkit.store import read_json
from tests.cli.call import Call, run, sslkit
from tests.harness.work.test_compare import SMALL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store: a comparison of two arms on two seeds, a run by hand that shares its first stage with another, and
    one that was interrupted."""
    root = tmp_path_factory.mktemp("store") / "runs"
    compared = sslkit("compare", *SMALL, "--algo", "fixmatch,flexmatch", "--seeds", 2, "--runs", root)
    assert compared.code == 0, compared.err
    for algorithm in ("fixmatch", "mean_teacher", "supervised"):
        by_hand = run("--algo", algorithm, "--runs", root, "--labels", "4/class", "--name", f"hand-{algorithm}")
        assert by_hand.code == 0, by_hand.err
    last = next(root.glob("hand-supervised-*"))
    (last / "results.json").unlink()
    key = list(read_json(last / "run.json")["stages"].values())[-1]
    (root / "stages" / key).rename(root / "stages" / f".{key}")
    (root / "stages" / f".{key}" / "result.json").unlink()
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(made, tmp_path / "runs"))


def listed(root: Path) -> dict[str, dict[str, Any]]:
    call = sslkit("runs", "ls", "--json", "--runs", root)
    assert call.code == 0, call.err
    return {entry["name"]: entry for entry in call.json["runs"]}


def named(root: Path, beginning: str) -> str:
    (found,) = root.glob(f"{beginning}-*")
    return found.name


def remove(root: Path, *names: str) -> Call:
    return sslkit("runs", "rm", *names, "--yes", "--runs", root)


def on_disk(*folders: Path) -> int:
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file())


def stages(root: Path, name: str) -> list[str]:
    return list(read_json(root / name / "run.json")["stages"].values())


def tree(root: Path) -> dict[str, bytes]:
    """Path -> content of all files, but for the claims."""
    files = [path for path in root.rglob("*") if path.is_file() and ".claims" not in path.parts]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
