"""`sslkit run` with every algorithm in the box, from plan to results, as a user starts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.store import read_json
from tests.algorithms.make import needed_words, stepping
from tests.cli.call import folder_of, run, sslkit


@pytest.mark.slow
@pytest.mark.parametrize("name", stepping())
def test_it_runs_and_predicts(name: str, untimed: None) -> None:
    call = run("--algo", name, *needed_words(name), "--imbalance", "4", "--set", "semi.steps=2", "--json")
    assert call.code == 0, call.err
    assert "training plan" in call.err
    folder = folder_of(call, Path("runs"))
    assert read_json(folder / "results.json")["stages"][-1]["stage"] == "semi"
    predicted = sslkit("predict", folder, "--test", "--json")
    assert predicted.code == 0, predicted.err
