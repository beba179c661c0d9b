"""Every command that looks at all images shows how far it is; of a long look a line stays."""

from __future__ import annotations

from typing import NoReturn

import pytest

from sslkit.errors import UserError
from sslkit.terminal import progress
from tests.cli.call import sslkit
from tests.cli.conftest import Finished

COMMANDS = {
    "data": ["data", "d"],
    "predict": ["predict", "RUN", "d"],
    "predict its test": ["predict", "RUN", "--test"],
    "audit": ["audit", "RUN", "--out", "audit"],
    "export": ["export", "RUN", "--format", "torch", "--out", "x.pt2"],
    "views": ["show-views", "--data", "folder:d", "--out", "v.png"],
    "compare": ["compare", "--data", "folder:d", "--algo", "fixmatch", "--seeds", "1", "--labels", "all", "--dry-run"],
    "advise": ["advise", "d", "--labels", "all"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("photos")
def test_a_long_look_at_all_images_is_said(command: str, finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    def enough(*_: object) -> NoReturn:
        raise UserError("enough")

    monkeypatch.setattr(progress, "LONG", 0)
    for later in ("harness.advise.resolve_machine", "finished.graph.merged", "finished.audit._suspects"):
        monkeypatch.setattr(f"sslkit.{later}", enough)
    done = sslkit(*(str(finished.folder) if word == "RUN" else word for word in COMMANDS[command]))
    assert done.code in (0, 2), done.err
    assert done.code == 0 or done.err.strip().endswith("error: enough"), done.err
    assert any(line.endswith(" a second") for line in done.err.splitlines()), done.err
