"""--show-config: what a run would have, to the letter, without decoding an image."""

from __future__ import annotations

from typing import Any

import pytest

from sslkit.config import flatten
from sslkit.data import decoding
from sslkit.errors import UserError
from sslkit.prepare import prepare
from sslkit.prepare.shown import shown

REQUESTS: list[dict[str, Any]] = [
    {},
    {"data.labels": "10%", "semi.epochs": 3, "data.val": 0.2},
    {"data.tune": True, "seed": 100, "finetune.images": 1000},
    {"stages": "pretrain", "pretrain.epochs": 2, "backbone": "vit_micro"},
    {"data.pool": "all", "semi.epochs": 1, "pretrain.epochs": 1, "stages": "pretrain,finetune,semi"},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=str)
def test_it_is_what_a_run_has_and_nothing_is_decoded(request_: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = flatten(prepare(request_).config)
    monkeypatch.setattr(decoding, "decode", lambda *_, **__: pytest.fail("an image was decoded"))
    assert shown(request_) == (expected, "")


def test_what_cannot_be_split_is_still_an_error() -> None:
    with pytest.raises(UserError, match="class"):
        shown({"data.labels": "1000/class"})
