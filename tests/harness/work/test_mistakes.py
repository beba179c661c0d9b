"""Arguments of `sslkit compare` that cannot be: one line, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.call import assert_refused
from tests.harness.work.test_compare import compare, elsewhere  # noqa: F401


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds must be 1 or more"),
        (["--first-seed", "-1"], "--first-seed must be 0 or more"),
        (["--jobs", "0"], "--jobs must be 1 or more"),
        (["--algo", "fixmatc"], "did you mean 'fixmatch'"),
        (["--algo", "fixmatch,"], "with commas between"),
        (["--algo", "fixmatch,fixmatch"], "different names"),
        (["--algo", ""], "with commas between"),
        (["--labels", ""], "with commas between"),
        (["--cluster", ""], "must be slurm or print"),
        (["--algo", "fixmatch", "--vary", "labeler.tau=0.5,0.50"], "two of the values are equal"),
        (["--vary", "labeler.tau"], "--vary wants KEY=V1,V2"),
        (["--vary", "labeler.tua=0.5,0.7"], "labeler.tua"),
        (["--reference", "nothing"], "is none of finetune, finetune+"),
        (["--labels", "40000/class"], "wants 40000 images"),
        (["--config", "gone.toml"], "gone.toml"),
        (["--set", "time=100"], "arms would differ"),
        (["--out", "page.pdf"], "--out page.pdf: it must end in .txt, .md"),
        (["--delta", "-1"], "--delta must be points"),
        (["--delta", "nan"], "--delta must be points"),
        (["--algo", "fixmatch", "--vary", "algo=flexmatch"], "algo.name is varied twice"),
        (["--vary", "labeler.tau=0.5", "--vary", "labeler.tau=0.7"], "labeler.tau is varied twice"),
        (["--set", "seed=3"], "give --seeds N instead"),
        (["--vary", "seed=3,4"], "give --seeds N instead"),
    ],
    ids=str,
)
def test_mistakes(arguments: list[str], words: str) -> None:
    assert_refused(compare(*arguments), words)
    assert not Path("runs").exists()
