"""RandAugment: its tables, its names, and the distribution of what is drawn."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch
from scipy import stats
from timm.data import auto_augment as timm_ops

from sslkit.augment.randaugment import RandAugment, parse
from tests.augment.pictures import draws

TIMM = "rand-m9-mstd0.5-inc1"
# operation -> value at magnitude 3, at 9, at 10, and whether the sign is drawn; None is an operation without a value.
# Read off the published code: google-research/fixmatch, USB, timm's increasing set.
TABLES = {
    TIMM: {
        **dict.fromkeys(("autocontrast", "equalize", "invert"), None),
        "rotate": (9, 27, 30, True),
        "posterize": (3, 1, 0, False),
        "solarize": (180, 26, 0, False),
        "solarize_add": (33, 99, 110, False),
        **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), (1.27, 1.81, 1.9, True)),
        **dict.fromkeys(("shear_x", "shear_y"), (0.09, 0.27, 0.3, True)),
        **dict.fromkeys(("translate_x", "translate_y"), (0.135, 0.405, 0.45, True)),
    },
    "fixmatch": {
        **dict.fromkeys(("autocontrast", "equalize", "identity"), None),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0.64, 1.72, 1.9, False)),
        "posterize": (3, 1, 0, False),
        "rotate": (9, 27, 30, True),
        **dict.fromkeys(("shear_x", "shear_y"), (0.09, 0.27, 0.3, True)),
        "solarize": (180, 26, 0, False),
        **dict.fromkeys(("translate_x", "translate_y"), (3 / 32, 9 / 32, 10 / 32, True)),
    },
    "usb": {
        **dict.fromkeys(("autocontrast", "equalize", "identity"), None),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0.32, 0.86, 0.95, False)),
        "posterize": (5, 7, 8, False),
        "rotate": (-12, 24, 30, False),
        **dict.fromkeys(("shear_x", "shear_y", "translate_x", "translate_y"), (-0.12, 0.24, 0.3, False)),
        "solarize": (76.8, 230.4, 256, False),
    },
}


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_the_published_ones(name: str) -> None:
    ops = {op.name: op for op in parse(name).ops}
    assert set(ops) == set(TABLES[name])
    for op, expected in TABLES[name].items():
        found = ops[op]
        if expected is None:
            assert (found.base, found.slope) == (0, 0)
            continue
        for magnitude, value in zip((3, 9, 10), expected[:3], strict=True):
            change = found.slope * magnitude / 10
            assert found.base + (int(change) if found.whole else change) == pytest.approx(value), (op, magnitude)
        assert found.signed == expected[3], op


def test_the_increasing_set_is_timms() -> None:
    """Its own level functions, at every tenth of a magnitude."""
    ops = {op.name: op for op in parse(TIMM).ops}
    theirs = {
        "rotate": "Rotate",
        "posterize": "PosterizeIncreasing",
        "solarize": "SolarizeIncreasing",
        "solarize_add": "SolarizeAdd",
        "color": "ColorIncreasing",
        "brightness": "BrightnessIncreasing",
        "shear_x": "ShearX",
        "translate_y": "TranslateYRel",
    }
    for name, known in theirs.items():
        op = ops[name]
        for tenths in range(101):
            level = tenths / 10
            change = op.slope * level / 10
            change = int(change) if op.whole else change
            mine = {max(op.base + sign * change, op.least) for sign in ((1, -1) if op.signed else (1,))}
            value = timm_ops.LEVEL_TO_ARG[known](level, {"translate_pct": 0.45})[0]
            assert any(value == pytest.approx(m) for m in mine), (name, level)


@pytest.mark.parametrize(
    ("text", "n", "probability"),
    [
        ("fixmatch", 2, 0.5),
        ("fixmatch-n3", 3, 0.5),
        ("usb", 3, 1),
        ("usb-n1", 1, 1),
        (TIMM, 2, 0.5),
        ("rand-m5-n4-p0.8-inc1", 4, 0.8),
    ],
)
def test_names(text: str, n: int, probability: float) -> None:
    found = parse(text)
    assert (found.n, found.probability) == (n, probability)


@pytest.mark.parametrize(
    "text", ["", "rand", "rand-m9", "rand-m9-inc0x", "fixmatch-m3", "usb-nx", "auto", "rand-w0-inc1"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(TIMM)):
        parse(text)


@pytest.mark.parametrize("name", [*TABLES, "usb-n1"])
def test_operations_are_drawn_alike_and_applied_as_often_as_said(name: str) -> None:
    chosen = parse(name)
    n = 6000
    slots = chosen.draw(draws(n))
    assert len(slots) == chosen.n
    each = n * chosen.probability / len(chosen.ops)
    expected = {op.name: each for op in chosen.ops}
    if chosen.probability < 1:
        expected["identity"] = expected.get("identity", 0) + n * (1 - chosen.probability)
    for names, value in slots:
        assert value.shape == (n,)
        counts = Counter(names)
        assert set(counts) == set(expected)
        assert stats.chisquare([counts[op] for op in expected], list(expected.values())).pvalue > 1e-4


def test_two_slots_are_drawn_apart() -> None:
    """With replacement and independently: pairs of operations as frequent as a product says."""
    names = [op.name for op in parse("rand-m9-p1-inc1").ops]
    first, second = (slot[0] for slot in parse("rand-m9-p1-inc1").draw(draws(9000)))
    table = torch.zeros(len(names), len(names))
    for a, b in zip(first, second, strict=True):
        table[names.index(a), names.index(b)] += 1
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-4


def test_magnitudes() -> None:
    normal = drawn_values(parse(TIMM), "rotate") / 3  # degrees of magnitude 1
    assert stats.binomtest(int((normal > 0).sum()), len(normal)).pvalue > 1e-4
    v = normal.abs()
    assert float(v.max()) <= 10
    assert float((v == 10).double().mean()) == pytest.approx(float(stats.norm.sf(2)), abs=0.01)
    inner = v[v < 10].numpy()
    assert stats.kstest(inner, stats.truncnorm(-18, 2, loc=9, scale=0.5).cdf).pvalue > 1e-4
    whole = drawn_values(parse("fixmatch"), "shear_x") / 0.03
    assert stats.chisquare([int((whole.abs().round() == k).sum()) for k in range(1, 10)]).pvalue > 1e-4
    assert stats.kstest(drawn_values(parse("usb"), "rotate").numpy(), stats.uniform(-30, 60).cdf).pvalue > 1e-4


def drawn_values(chosen: RandAugment, op: str) -> torch.Tensor:
    slots = chosen.draw(draws(60000))
    return torch.cat([value[torch.tensor([name == op for name in names])] for names, value in slots])
