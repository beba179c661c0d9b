"""Planted faults in plug-ins, written by somebody who had not seen the checks: all are caught, and sound ones pass.

Of `first` the suite caught 18 of 20 when it was new (not `lost_updates` and `dataset_moving`), of the subtler `second`
6 of 10 (not `label_only`, `mixed_labels`, `shared_head` and `labeler_fleeting`); what sees these came after.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sslkit import registry
from sslkit.conformance import Finding, check_parts, together
from sslkit.plugins import load_plugin

FAULTS = Path(__file__).parent / "faults"
CAUGHT = {
    "algo_batch_centred": "test_time",
    "algo_call_counter": "goes_on",
    "algo_global_noise": "repeatable",
    "algo_item_gate": "no_waiting",
    "algo_label_only": "heeds_targets",
    "algo_live_target": "pseudo_labels",
    "algo_local_bank": "processes_agree",
    "algo_lost_updates": "parts_are_told",
    "algo_masked_rows": "no_waiting",
    "algo_mean_of_kept": "nothing_kept",
    "algo_mixed_labels": "labels_are_those_before_mixing",
    "algo_shared_head": "other_networks_predict_for_themselves",
    "backbone_dropout": "each_image_for_itself",
    "backbone_half": "right_shapes",
    "backbone_other_features": "has_a_head",
    "dataset_from_one": "has_labels",
    "dataset_moving": "is_the_same_twice",
    "labeler_bits": "right_shapes",
    "labeler_early_update": "learns_in_update_alone",
    "labeler_fleeting": "learns_in_update_alone",
    "labeler_latest": "learns_in_update_alone",
    "labeler_plain_mean": "learns_in_update_alone",
    "labeler_smoothing_sum": "right_shapes",
    "mixer_appended": "right_shapes",
    "mixer_halves": "one_image",
    "mixer_inplace": "inputs_stay",
    "mixer_numpy_beta": "repeatable",
    "teacher_left_in_eval": "leaves_the_student",
    "teacher_open_gradient": "right_shapes",
    "teacher_unstored": "goes_on",
}
FILES = {file.stem: file for folder in ("first", "second") for file in sorted((FAULTS / folder).glob("*.py"))}
SOUND = sorted((FAULTS / "sound").glob("*.py"))


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "plugins", {})
    yield
    together._end()


def findings(file: Path) -> list[Finding]:
    load_plugin(file)
    (found,) = check_parts([file.stem])
    return found


def test_every_fault_has_its_check() -> None:
    assert {f"fault_{name}" for name in CAUGHT} == {*FILES}
    assert len(SOUND) == 10


@pytest.mark.slow
@pytest.mark.parametrize("name", CAUGHT)
def test_a_planted_fault_is_caught(name: str) -> None:
    failed = {one.check for one in findings(FILES[f"fault_{name}"]) if one.state == "failed"}
    assert CAUGHT[name] in failed


@pytest.mark.slow
@pytest.mark.parametrize("file", SOUND, ids=lambda file: file.stem)
def test_a_sound_plug_in_passes(file: Path) -> None:
    assert [one for one in findings(file) if one.state == "failed"] == []
