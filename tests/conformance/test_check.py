"""`sslkit check`: sound parts pass, planted faults are caught, and reasons are said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sslkit import registry
from sslkit.conformance import KINDS, VERSION, Broken, Skipped, check_class, expect, together
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step
from sslkit.testing import assert_conforms, conforms  # noqa: F401
from tests.cli.call import assert_refused, sslkit

FAULTS = Path(__file__).parent / "faults"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "plugins", {})
    yield
    together._end()


class Changing(Mixer):
    """Changes the images that it is given."""

    def __init__(self, setup: Setup) -> None:
        super().__init__()

    def mix(self, images: torch.Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        return Mixed(images.mul_(0.5), labels)


class Known(Changing):
    """Says so."""

    known_failures = {"inputs_stay": "to save memory"}


def test_a_failure_is_said_with_what_was_seen(conforms: Any) -> None:  # noqa: F811
    with pytest.raises(AssertionError, match="inputs_stay: the images are changed"):
        conforms(Changing)


def test_a_known_failure_is_no_failure_and_has_its_reason() -> None:
    found = {one.check: one for one in check_class(Known)}
    assert found["inputs_stay"].state == "known"
    assert found["inputs_stay"].reason == "to save memory (the images are changed)"
    assert_conforms(Known)


def test_a_check_that_cannot_be_made_is_skipped() -> None:
    assert {one.state for one in check_class(registry.load("dataset", "folder"), "folder")} == {"skipped"}
    call = sslkit("check", "timm")
    assert call.code == 0
    assert "needs a model" in " ".join(call.out.split())


def test_what_is_no_part_is_said() -> None:
    with pytest.raises(TypeError, match="int is no algorithm"):
        check_class(int)
    with pytest.raises(Broken, match="seen"):
        expect(False, "seen")
    assert issubclass(Skipped, Exception)


def test_a_name_means_the_part_in_every_kind_that_has_it() -> None:
    call = sslkit("check", "none", "labeler:softmatch", "--json")
    assert call.code == 0, call.err
    assert call.json["version"] == VERSION
    assert {(one["kind"], one["name"]) for one in call.json["checks"]} == {("mixer", "none"), ("labeler", "softmatch")}
    assert {one["state"] for one in call.json["checks"]} == {"passed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the parts that are to be checked, or --all"),
        (["fixmatch", "--all"], "name the parts that are to be checked, or --all"),
        (["fixmach"], "did you mean 'fixmatch'"),
        (["mixer:fixmatch"], "unknown mixer 'fixmatch'"),
        (["--kind", "mixers_"], "unknown kind"),
    ],
)
def test_mistakes(words: list[str], said: str) -> None:
    assert_refused(sslkit("check", *words), said)


def test_a_failed_check_ends_with_code_2_and_a_part_that_cannot_be_loaded_is_one(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(
        "from sslkit import register\nfrom sslkit.contracts import Mixed, Mixer\n\n\n@register('mixer')\n"
        "class Half(Mixer):\n    def __init__(self, setup):\n        super().__init__()\n\n"
        "    def mix(self, images, labels, step):\n        return Mixed(images.half(), labels)\n"
    )
    call = sslkit("check", "--plugin", file, "half")
    assert call.code == 2
    assert call.err.splitlines()[-1] == "error: 1 of 1 part fails"
    assert "images are torch.float16" in " ".join(call.out.split())


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("backbone", "dataset")])
def test_all_parts_in_the_box_pass(kind: str) -> None:
    call = sslkit("check", "--kind", kind, "--json")
    assert call.code == 0, [one for one in call.json["checks"] if one["state"] == "failed"]
    assert {one["state"] for one in call.json["checks"]} <= {"passed", "known", "skipped"}


@pytest.mark.parametrize("backbone", ["vit_micro", "wrn_10_1", "resnet18", "efficientnet_lite0"])
def test_networks_in_the_box_pass(backbone: str) -> None:
    assert_conforms(registry.load("backbone", backbone), backbone)
