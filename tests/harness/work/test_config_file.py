"""`compare --config RUN`: arms have what they have without the file, RUN's own words in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslkit.errors import UserError
from sslkit.harness.work.request import Words, comparison
from sslkit.prepare.shown import shown
from tests.config.test_run_files import ALWAYS, file_of

OWN: dict[str, Any] = {"semi.clip": 0.123, "finetune.epochs": 2, "semi.mu": 2}
FILE = ALWAYS | OWN | {"data": "digits", "algo": "ema_teacher", "backbone": "vit_micro"}


def requests(varied: dict[str, list[Any]], config: Path | None, tmp_path: Path, **more: Any) -> Any:
    base = more if config else OWN | {"data.size": 16, "data.labels": "1/class"} | more
    words = Words(base, varied, {"backbone": ["vit_micro", "wrn_10_1"]}, seeds=1, config=config)
    found, _ = comparison(words, tmp_path / "runs", "compare")
    return {
        (condition, arm): shown(found.request(arm, condition, 0))[0]
        for condition, arms in found.requests.items()
        for arm in arms
    }


@pytest.mark.parametrize(
    "varied",
    [{"algo.name": ["fixmatch", "ema_teacher"]}, {"algo.name": ["supervised"]}, {"mixer.name": ["none", "pseudo"]}],
)
def test_the_arms_are_those_without_a_file(varied: dict[str, list[Any]], tmp_path: Path) -> None:
    folder = file_of(tmp_path, FILE)
    without = requests(varied, None, tmp_path)
    assert requests(varied, folder, tmp_path) == without
    assert requests(varied, folder / "config.toml", tmp_path) == without


def test_steps_that_are_asked_for_hold(tmp_path: Path) -> None:
    folder = file_of(tmp_path, FILE)
    for keys in requests({"mixer.name": ["none"]}, folder, tmp_path, **{"finetune.steps": 7}).values():
        assert (keys["finetune.steps"], keys["finetune.epochs"]) == (7, None)
    with pytest.raises(UserError, match="both set the length of the stage finetune"):
        requests({"mixer.name": ["none"]}, folder, tmp_path, **{"finetune.steps": 7, "finetune.images": 7})
