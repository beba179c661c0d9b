"""Exit codes: one table, in the code, the help, the page and the skill; and each code is really had."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sslkit.cli import main
from sslkit.cli.answers import CODES
from sslkit.errors import Stopped, UserError
from tests.cli.call import TINY, sslkit

PAGE = Path(__file__).parents[2] / "docs" / "machines.md"


def test_the_page_and_the_help_have_the_table_of_the_code() -> None:
    section = PAGE.read_text("utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code): what for code, what in re.findall(r"^\| (\d+) \| (.*) \|$", section, re.MULTILINE)} == CODES
    shown = " ".join(sslkit("--help").out.split())
    assert all(f"{code} {what}" in shown for code, what in CODES.items())


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("no"), 2, "error: no"),
        (Stopped("stopped after step 3"), 130, "stopped after step 3; the same command goes on"),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on from the last checkpoint, or begins anew"),
        (OSError(28, "No space left on device", "x"), 2, "error: x cannot be used: OSError: [Errno 28] No space left"),
    ],
)
def test_what_ends_a_command(error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(_: object) -> None:
        raise error

    monkeypatch.setattr("sslkit.look.data.data_report", ends)
    call = sslkit("data", "digits")
    assert call.code == code
    assert call.err.strip().startswith(line)
    assert call.out == ""
    (told,) = (json.loads(one) for one in sslkit("data", "digits", "--progress", "json").err.splitlines())
    assert (told["event"], told["code"]) == ("stopped" if code == 130 else "error", code)


def test_nothing_asked_for_is_the_help() -> None:
    call = sslkit()
    assert call.code == 0
    assert "Commands:" in call.out


def test_a_mistake_is_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslkit.cli.listing.list_recipes", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # which Python ends with code 1
        main(["list", "recipes"])


@pytest.mark.slow
def test_a_signal_is_130_and_the_same_command_goes_on(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "sslkit", "run", *TINY, "--set", "semi.steps=100000", "--json", "--progress", "json"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if '"step"' in line and '"stage": "semi"' in line:
                break
        os.kill(process.pid, signal.SIGTERM)
        out, err = process.communicate(timeout=60)
        began = time.monotonic()
    assert process.returncode == 130, err
    assert time.monotonic() - began < 60
    assert '"code": 130' in out
    assert '"event": "stopped"' in err.splitlines()[-1]
