"""A BatchNorm with one value a channel is answered before anything is trained, with what mends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.call import assert_refused, sslkit


@pytest.mark.parametrize(
    "sizes", [("--set", "finetune.batch=1"), ("--set", "finetune.batch=4", "--set", "finetune.accumulate=4")], ids=str
)
def test_one_image_in_a_micro_batch(sizes: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    keys = ("--backbone", "resnet18", "--stages", "finetune", "--set", "finetune.steps=1", *sizes)
    call = sslkit("run", *keys)
    assert_refused(
        call, "stage 'finetune': at 8 px a BatchNorm of resnet18 has one value a channel", "norm_stats=frozen"
    )
    assert not [*Path("runs").glob("digits-*")]
    assert sslkit("run", *keys, "--set", "finetune.norm_stats=frozen").code == 0
