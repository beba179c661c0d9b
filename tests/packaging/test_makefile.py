"""`make demo` and `make test` on machines that are not as they should be: a stand-in for Python plays them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="no make on this machine")

# Answers as a Python would: $LACKS is text in the command that makes it fail. `-m venv DIR` makes DIR/bin with
# itself as python and a `sslkit` that says it ran. All commands go to the file `calls`.
PYTHON = """#!/bin/sh
echo "$*" >> calls
case "$LACKS" in "") ;; *) case "$*" in *"$LACKS"*) exit 1;; esac;; esac
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && printf '#!/bin/sh\\necho ran "$@"\\n' > "$3/bin/sslkit"
  chmod +x "$3/bin/sslkit"
fi
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile, what it reads, and the stand-in."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    tool(tmp_path / "python", PYTHON)
    free(tmp_path, kilobytes=10_000_000)
    return tmp_path


def free(folder: Path, kilobytes: int) -> None:
    """A stand-in for df: so much of the disk is free, whatever this machine has."""
    (folder / "tools").mkdir(exist_ok=True)
    table = f"Filesystem 1024-blocks Used Available Capacity Mounted on\\n/dev/x 9 9 {kilobytes} 1% /\\n"
    tool(folder / "tools" / "df", f"#!/bin/sh\nprintf '{table.replace('%', '%%')}'\n")


def tool(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
    path.chmod(0o755)


def make(folder: Path, *goals: str, lacks: str = "") -> subprocess.CompletedProcess[str]:
    search = f"{folder / 'tools'}{os.pathsep}{os.environ['PATH']}"
    outer = ("MAKEFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "VENV", "PYTHON")  # this may itself run under make
    environment = {k: v for k, v in os.environ.items() if k not in outer} | {"LACKS": lacks, "PATH": search}
    command = ["make", *goals, f"PYTHON={folder / 'python'}"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def calls(folder: Path, word: str) -> int:
    """How often the stand-in was called with `word`."""
    log = folder / "calls"
    return log.read_text("utf-8").count(word) if log.exists() else 0


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that is not make's own."""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    return line


def test_demo_installs_once_with_pins_and_runs_the_command(checkout: Path) -> None:
    first, second = make(checkout, "demo"), make(checkout, "demo")
    command = "run --algo ema_teacher --mixer prob_pseudo --backbone vit_base"
    assert f".venv/bin/sslkit {command}" in first.stdout
    assert f"ran {command}" in first.stdout
    assert f"ran {command}" in second.stdout
    assert calls(checkout, "-c constraints.txt -e .[test]") == 1


def test_changed_pins_are_installed(checkout: Path) -> None:
    make(checkout, "demo")
    stamp = (checkout / ".venv" / ".ready").stat().st_mtime
    os.utime(checkout / "constraints.txt", (stamp + 5, stamp + 5))
    make(checkout, "demo")
    assert calls(checkout, "pip install") == 2


def test_an_installation_that_was_cut_off_is_made_anew(checkout: Path) -> None:
    assert make(checkout, "test", lacks="pip install").returncode
    (checkout / ".venv" / "torso").touch()
    done = make(checkout, "test")
    assert done.returncode == 0, done.stderr
    assert not (checkout / ".venv" / "torso").exists()
    assert calls(checkout, "-m pytest") == 1


def test_all_tests_are_those_of_every_day_and_then_the_slow_ones(checkout: Path) -> None:
    assert make(checkout, "test-all").returncode == 0
    assert calls(checkout, "-m pytest -n 2 --dist loadfile\n") == 1
    assert calls(checkout, "-m pytest -n 2 --dist loadfile -m slow\n") == 1
    assert calls(checkout, "-m pytest") == 2


def test_an_environment_made_by_hand_is_kept(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "mine").touch()
    assert make(checkout, "test").returncode == 0
    assert (checkout / ".venv" / "mine").exists()


@pytest.mark.parametrize(
    ("lacks", "words"),
    [("version_info", ["3.11", "make test PYTHON=python3.12"]), ("ensurepip", ["apt install python3-venv"])],
)
def test_a_python_that_will_not_do_is_said_in_one_line(checkout: Path, lacks: str, words: list[str]) -> None:
    done = make(checkout, "test", lacks=lacks)
    assert done.returncode
    assert all(word in said(done) for word in words)
    assert not (checkout / ".venv").exists()


def test_a_full_disk_is_said_before_anything_is_made(checkout: Path) -> None:
    free(checkout, kilobytes=7_812_499)
    done = make(checkout, "demo")
    assert "8 GB" in said(done)
    assert not (checkout / ".venv").exists()
    free(checkout, kilobytes=7_812_500)
    assert make(checkout, "demo").returncode == 0


def test_the_makefile_uses_nothing_that_macos_lacks() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    for word in ("nproc", "flock", "readlink", "realpath", ".ONESHELL", "::=", "!=", "sed -i", "$(file"):
        assert word not in text, word
