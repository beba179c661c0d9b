"""The wheel of the last commit holds what git tracks and nothing else, and runs where there is no checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("sslkit", "algorithms", "backbones", "harness")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout"),
]


def run(*command: str | Path, cwd: Path, **variables: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-3000:]
    return done.stdout.decode()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a clean `git archive`: neither a stale build folder nor an untracked file can get into it."""
    folder = tmp_path_factory.mktemp("source")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", folder, cwd=folder)
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second environment with the wheel, which sees this one's torch but not its editable sslkit."""
    environment = tmp_path_factory.mktemp("elsewhere") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment.parent)
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(*pip, wheel, cwd=environment.parent)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=environment).strip())
    # Folders named by a .pth file come last on the path, and their own .pth files, the editable one's, are not read.
    seen = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "torch_of_the_first.pth").write_text("".join(f"{path}\n" for path in sorted(seen)), "utf-8")
    return environment


def test_the_wheel_holds_what_git_tracks(wheel: Path) -> None:
    tracked = run("git", "ls-tree", "-r", "HEAD", "--", *FOLDERS, cwd=ROOT).splitlines()
    links = {path.partition("\t")[2] for path in tracked if path.startswith("120000")}
    assert links == {"sslkit/algorithms", "sslkit/backbones", "sslkit/harness"}
    files = {path.partition("\t")[2] for path in tracked} - links
    expected = {path if path.startswith("sslkit/") else f"sslkit/{path}" for path in files}
    with zipfile.ZipFile(wheel) as packed:
        held = {name for name in packed.namelist() if not re.match(r"sslkit-[^/]+\.dist-info/", name)}
    assert held == expected


def test_the_wheel_runs_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    python, sslkit = installed / "bin" / "python", installed / "bin" / "sslkit"
    where = run(python, "-c", "import sslkit, torch; print(sslkit.__file__)", cwd=tmp_path).strip()
    assert Path(where).is_relative_to(installed.resolve()) or Path(where).is_relative_to(installed), where
    few = [word for key in ("finetune.steps=2", "semi.steps=2", "threads=1") for word in ("--set", key)]
    printed = run(sslkit, "run", "--backbone", "vit_micro", *few, "--json", cwd=tmp_path, OMP_NUM_THREADS="1")
    results = json.loads(printed)
    assert [row["stage"] for row in results["stages"]] == ["finetune", "finetune+", "semi"]
    assert (tmp_path / "runs" / results["run"] / "results.json").is_file()


def test_the_wheel_lists_the_built_in_parts(installed: Path, tmp_path: Path) -> None:
    listed = json.loads(run(installed / "bin" / "sslkit", "list", "--json", cwd=tmp_path))["parts"]
    folders = {"algorithm": "algorithms", "mixer": "algorithms/mixers", "backbone": "backbones"}
    for kind, folder in folders.items():
        modules = {file.stem for file in (ROOT / folder).glob("[!_]*.py")}
        tracked = {Path(p).stem for p in run("git", "ls-tree", "--name-only", "HEAD", f"{folder}/", cwd=ROOT).split()}
        assert {part["name"] for part in listed if part["kind"] == kind} == modules & tracked


def test_a_plug_in_installed_by_pip_is_found(installed: Path, tmp_path: Path) -> None:
    """A package of one file, with an entry point, as docs/plugins.md describes it."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "reverse_mixer.py").write_text((ROOT / "examples" / "reverse_mixer.py").read_text("utf-8"), "utf-8")
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "sslkit-reverse"\nversion = "2.0"\n[tool.setuptools]\npy-modules = ["reverse_mixer"]\n'
        '[project.entry-points."sslkit.mixers"]\nreverse = "reverse_mixer:Reverse"\n'
    )
    python, sslkit = installed / "bin" / "python", installed / "bin" / "sslkit"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    )
    run(*pip, package, cwd=tmp_path, PYTHONPATH=sysconfig.get_path("purelib"))
    rows = {row["name"]: row for row in json.loads(run(sslkit, "list", "mixers", "--json", cwd=tmp_path))["parts"]}
    assert rows["reverse"]["origin"] == "sslkit-reverse 2.0"
    few = [word for key in ("finetune.steps=2", "semi.steps=2", "threads=1") for word in ("--set", key)]
    printed = run(sslkit, "run", "--mixer", "reverse", "--backbone", "vit_micro", *few, "--json", cwd=tmp_path)
    assert json.loads(printed)["config"]["mixer.name"] == "reverse"
