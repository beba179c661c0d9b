"""`sslkit check` of pretrainers: a sound plug-in passes all, and each fault that is planted in it is caught."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sslkit import registry
from sslkit.conformance import _made, check_class, check_parts, pretrainers, together
from sslkit.plugins import load_plugin

SOUND = '''
"""Images with every second pixel hidden are told what a linear map of their patches was."""

import torch
from torch import nn

from sslkit import register
from sslkit.contracts import Algorithm, Losses
from sslkit.losses import gather


@register("pretrainer")
class Hidden(Algorithm):
    views = {"all": ("pretrain",)}
    classifies = False

    def __init__(self, setup):
        super().__init__(setup)
        self.decoder = nn.Linear(setup.student.feature_dim, 3)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, batch, step):
        images = batch["all"]["pretrain"]
        hidden = step.uniform("hidden", *images.shape[:1], 1, *images.shape[2:], device=images.device) < 0.5
        grid = self.student.grid[0] * self.student.grid[1]
        seen = torch.arange(grid, device=images.device).expand(len(images), -1)
        tokens = self.student.encode(images.masked_fill(hidden, 0.0), seen)
        told = self.decoder(tokens.mean(1)).float()
        colour = images.mean((2, 3))
        loss = (told - colour + self.mean).square().mean()
        return Losses({"colour": loss}, memory={"colour": colour.detach()})

    def after_step(self, losses, step):
        found = gather(torch.cat([one.memory["colour"] for one in losses]))
        self.mean.lerp_(found.mean(0), 0.1)

    def networks(self):
        return {}
'''
FAULTS = {
    "asks_for_labels": ('views = {"all"', 'views = {"labeled": ("weak",), "all"', "no_labels"),
    "moves_the_head": ("+ self.mean).square()", "+ self.mean + self.student.head_sum()).square()", "head_stays"),
    "draws_by_the_generator": ("step.uniform(", "(lambda name, *shape, device: torch.rand(shape))(", "repeatable"),
    "hides_in_place": ("images.masked_fill(", "images.masked_fill_(", "inputs_stay"),
    "detaches_the_trunk": ("tokens.mean(1)", "tokens.mean(1).detach()", "trunk_learns"),
    "half": ('{"colour": loss}', '{"colour": loss.to(self.decoder(tokens[:, 0]).dtype)}', "half_precision"),
    "waits": ("< 0.5", "< 0.5 + 0 * images.sum().item()", "no_waiting"),
    "forgets": ('self.register_buffer("mean", torch.zeros(3))', "self.mean = torch.zeros(3)", "goes_on"),
    "own_half": ("gather(torch.cat([one", "(torch.cat([one", "processes_agree"),
    "climbs": ("return Losses({", "loss = loss.detach() * 2 - loss\n        return Losses({", "learns"),
    "divides_by_nothing": (".square().mean()", ".square().sum() / (len(images) - 1)", "all_sizes"),
    "leaves_it_in_eval": ("self.mean.lerp_(", "self.student.eval()\n        self.mean.lerp_(", "leaves_a_network"),
    "adds_to_the_student": ("self.decoder = nn", "setup.student.decoder = self.decoder = nn", "leaves_a_network"),
    "a_row_a_term": (".square().mean()", ".square().mean(1)", "terms"),
}
CHECKS = {check.__name__: check for check in pretrainers.CHECKS}
HEAD = "self.student.head_sum()"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "plugins", {})
    yield
    together._end()


def loaded(source: str, folder: Path) -> type[Any]:
    file = folder / "hidden.py"
    file.write_text(source.replace(HEAD, "self.student.classifier().bias.sum()"), "utf-8")
    load_plugin(file)
    return registry.load("pretrainer", "hidden")


@pytest.mark.slow
def test_a_sound_pretrainer_passes(tmp_path: Path) -> None:
    found = check_class(loaded(SOUND, tmp_path))
    assert {one.kind for one in found} == {"pretrainer"}
    assert [one for one in found if one.state != "passed"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught(name: str, tmp_path: Path) -> None:
    found, planted, check = FAULTS[name]
    assert SOUND.count(found) == 1
    cls = loaded(SOUND.replace(found, planted), tmp_path)
    assert _made("pretrainer", name, CHECKS[check], cls, {}).state == "failed"


@pytest.mark.slow
def test_built_in_ones_pass() -> None:
    for findings in check_parts([], "pretrainer"):
        assert [one for one in findings if one.state == "failed"] == []
