"""`precision=auto`: processors are faked, networks are real."""

import pytest
import torch

from sslkit import registry
from sslkit.config.resolve import resolve
from sslkit.datasets.digits import Digits
from sslkit.machine import precision, resolve_machine

# seconds of forward and backward, fp32 / bf16, on a Xeon with AMX: what a rule has to come to there
MEASURED = {
    ("vit_base", 32): 1.91 / 1.11,
    ("vit_small", 224): 0.95 / 0.48,
    ("vit_tiny", 32): 1.07 / 0.89,
    ("resnet18", 64): 0.32 / 0.23,
    ("efficientnet_lite0", 96): 0.31 / 0.45,
    ("vit_micro", 8): 3 / 4,
}


def config(backbone="vit_micro", size=8, **more):
    return resolve({"backbone.name": backbone, "data.size": size, "device": "cpu", **more}, Digits, lambda: backbone)


def fake(monkeypatch, **found):
    monkeypatch.setattr(precision, "_capabilities", lambda: found)


@pytest.mark.parametrize(("network", "gain"), MEASURED.items())
def test_with_units_it_is_what_was_measured_as_faster(monkeypatch, network, gain):
    fake(monkeypatch, amx_bf16=True, avx2=True)
    chosen, why = precision.faster(config(*network), "cpu")
    assert chosen == ("bf16" if gain > 1 else "fp32")
    assert why.startswith("amx_bf16, ")


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ({}, "fp32"),
        ({"avx2": True, "avx512_f": True}, "fp32"),
        ({"amx_bf16": False, "avx512_bf16": False, "amx_int8": True}, "fp32"),
        ({"avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({"neon": True, "bf16": True}, "bf16"),
        ({"neon": True, "bf16": False}, "fp32"),
    ],
)
def test_every_capability(monkeypatch, found, chosen):
    fake(monkeypatch, **found)
    assert precision.faster(config("vit_tiny", 32), "cpu")[0] == chosen


@pytest.mark.parametrize("units", [True, False])
def test_a_gpu_with_and_without_units(monkeypatch, units):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: units)
    assert precision.faster(config(), "cuda")[0] == ("bf16" if units else "fp32")


def test_an_older_torch_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert precision.faster(config(), "cpu") == ("fp32", "the processor has no units for bf16")


def test_what_is_asked_for_needs_no_reason(monkeypatch):
    fake(monkeypatch, amx_bf16=True)
    assert resolve_machine(config("vit_tiny", 32, precision="fp32")).reason == ""
    machine = resolve_machine(config("vit_tiny", 32))
    assert machine.precision == "bf16"
    assert "large layers" in machine.reason


def test_looking_at_a_network_draws_nothing(monkeypatch):
    fake(monkeypatch, amx_bf16=True)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    precision.faster(config("vit_tiny", 32), "cpu")
    torch.testing.assert_close(torch.rand(4), expected, rtol=0, atol=0)


def test_a_network_that_needs_its_data_is_trained_in_fp32(monkeypatch):
    fake(monkeypatch, amx_bf16=True)

    class Own:
        def __init__(self, shape):
            raise RuntimeError("tables are filled in on a real device")

    monkeypatch.setattr(registry, "load", lambda kind, name: Own)
    assert precision.faster(config(), "cpu")[0] == "fp32"
