"""Calls the command line in this process."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit.cli import main

# Networks and steps as small as they come; what follows on a command line beats them.
TINY = (
    *("--backbone", "vit_micro", "--device", "cpu", "--precision", "fp32", "--threads", "1", "--no-control"),
    *("--set", "finetune.steps=3", "--set", "finetune.batch=8"),
    *("--set", "semi.steps=3", "--set", "semi.batch=8", "--set", "semi.mu=2", "--set", "finetune.lr=1e-3"),
)


@dataclass(frozen=True)
class Call:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def results(self) -> Any:
        """The same without what was said beside it, which depends on what is stored."""
        return {key: value for key, value in self.json.items() if key != "notes"}


def sslkit(*arguments: object) -> Call:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Call(code, out.getvalue(), err.getvalue())


def run(*arguments: object) -> Call:
    return sslkit("run", *TINY, *arguments)


def folder_of(call: Call, runs: Path) -> Path:
    """The run folder of a `run --json`."""
    return runs / str(call.json["run"])


def assert_refused(call: Call, *words: str) -> None:
    """Exit code 2, one line on stderr that has these words; on stdout nothing, or as JSON the same."""
    assert call.code == 2, call
    lines = call.err.strip().splitlines()
    assert len(lines) == 1, call.err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in lines[0]
    assert not call.out or call.json == {"schema": 1, "error": lines[0][7:], "code": 2, "notes": call.json["notes"]}
    for word in words:
        assert word in lines[0]
