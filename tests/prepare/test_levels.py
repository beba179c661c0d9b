"""How levels and bands are read of images that start from a run's weights, and of those of a stage before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sslkit.prepare import prepare
from sslkit.store import read_json, write_json
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.datasets.test_depth import asked, pixels, scaled, stored


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on 16 bits and four bands, whose white was measured."""
    here = tmp_path_factory.mktemp("before")
    stored(here / "d", 900, 3000, np.uint16, 4)
    words = ["--data", f"folder:{here / 'd'}", "--labels", "2/class", "--set", "data.bands=4,2,1", "--json"]
    call = run(*words, "--stages", "finetune", "--runs", here / "runs")
    assert call.code == 0, call.err
    return folder_of(call, here / "runs")


@pytest.mark.parametrize("kind", ["run", "export"])
def test_a_run_that_is_started_from_says_white_and_bands(kind: str, before: Path, tmp_path: Path) -> None:
    images = stored(tmp_path / "n", 100, 2500, np.uint16, 4)
    weights = before
    if kind == "export":
        assert sslkit("export", before, "--out", tmp_path / "out").code == 0
        weights = tmp_path / "out" / "model.safetensors"
    request = {"data": f"folder:{tmp_path / 'n'}", "data.labels": "2/class", "backbone": "vit_micro"}
    request |= {"weights": str(weights)}
    made = prepare(request)
    assert (made.config.data.white, made.config.data.bands) == ("3000", "4,2,1")
    found = pixels(made)
    for i, name in enumerate(sorted(found)):
        assert np.abs(found[name] - scaled(images[i][..., [3, 1, 0]], 3000)).max() <= 0.51
    assert "levels are read as for the weights: data.white=3000, data.bands=4,2,1" in made.remarks
    assert any("white is 3000, as for the weights" in remark for remark in made.remarks)
    other = prepare(request | {"data.white": "measured", "data.bands": "1,2,3"})
    assert (other.images.tone.white, other.images.tone.bands) == (2500, (1, 2, 3))
    assert not any("as for the weights" in remark for remark in other.remarks)


def test_what_images_lack_is_not_taken_or_named(before: Path, tmp_path: Path) -> None:
    start = {"weights": str(before), "backbone": "vit_micro"}
    stored(tmp_path / "8", 0, 255, np.uint8, 4)
    made = prepare({"data": f"folder:{tmp_path / '8'}", "data.labels": "2/class", **start})
    assert (made.config.data.white, made.config.data.bands) == (None, "4,2,1")
    stored(tmp_path / "3", 0, 255, np.uint8, 3)
    call = sslkit("run", "--data", f"folder:{tmp_path / '3'}", "--weights", before, "--backbone", "vit_micro")
    assert_refused(call, "has 3 bands, and the weights had data.bands=4,2,1; --set data.bands=1,2,3 says which")
    rgb = prepare({"data": f"folder:{tmp_path / '3'}", "data.labels": "2/class", "data.bands": "1,2,3", **start})
    assert rgb.images.tone.bands == (1, 2, 3)
    arrays = prepare({"data": "digits", **start})
    assert arrays.images.tone.about() == {}


@pytest.mark.parametrize("damage", [{"sslkit": 3}, {"sslkit": {"white": None}}, {}])
def test_an_export_that_says_nothing_of_levels(damage: dict[str, object], before: Path, tmp_path: Path) -> None:
    assert sslkit("export", before, "--out", tmp_path / "out").code == 0
    about = read_json(tmp_path / "out" / "config.json")
    write_json(tmp_path / "out" / "config.json", {k: v for k, v in about.items() if k != "sslkit"} | damage)
    stored(tmp_path / "n", 100, 2500, np.uint16)
    weights = str(tmp_path / "out" / "model.safetensors")
    made = prepare(
        {"data": f"folder:{tmp_path / 'n'}", "data.labels": "2/class", "backbone": "vit_micro", "weights": weights}
    )
    assert made.images.tone.white == 2500


def test_data_of_the_stage_pretrain_are_read_as_the_others(tmp_path: Path) -> None:
    stored(tmp_path / "d", 900, 3000, np.uint16, 4)
    stored(tmp_path / "p", 100, 2500, np.uint16, 4)
    stored(tmp_path / "q", 0, 255, np.uint8, 4)
    more = {"pretrain": f"supervised:folder:{tmp_path / 'p'}", "pretrain.steps": 2}
    made = asked(tmp_path / "d", white=4000, bands="4,2,1", more=more)
    assert made.source is not None
    assert made.source.images.tone == made.images.tone
    eight = asked(
        tmp_path / "d", white=4000, bands="4,2,1", more=more | {"pretrain": f"supervised:folder:{tmp_path / 'q'}"}
    )
    assert eight.source is not None
    assert eight.source.images.tone.about() == {"bands": [4, 2, 1]}
    each = asked(tmp_path / "d", bands="4,2,1", more=more)
    assert each.source is not None
    assert (each.images.tone.white, each.source.images.tone.white) == (3000, 2500), "what is measured is each one's own"
