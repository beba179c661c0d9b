"""`sslkit show-views`: a picture of what training sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.augment.plan import plan
from sslkit.augment.policy import POLICIES, Policy
from sslkit.look.views import GAP, SIDE
from tests.augment.pictures import draws
from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import Finished


def tile(path: str, row: int, column: int) -> np.ndarray:
    """The picture at a place of the grid, without its caption."""
    grid = np.asarray(Image.open(path))
    height = (grid.shape[0] - GAP) // 2  # two rows are asked for below
    top, left = GAP + row * height, GAP + column * (SIDE + GAP)
    return grid[top : top + SIDE, left : left + SIDE]


def test_a_grid_of_originals_and_views() -> None:
    assert sslkit("show-views", "--n", 2, "--out", "a.png", "--set", "views.strong=usb").out == "a.png\n"
    assert np.asarray(Image.open("a.png")).shape[1] == GAP + 6 * (SIDE + GAP)  # original, 2 weak, 3 strong
    sslkit("show-views", "--n", 2, "--out", "b.png", "--set", "views.strong=plain", "--set", "views.weak=usb")
    assert np.array_equal(tile("a.png", 0, 0), tile("b.png", 0, 0))
    for row in range(2):
        assert np.array_equal(tile("b.png", row, 3), tile("b.png", row, 0))  # a plain view is the original
        assert not np.array_equal(tile("a.png", row, 3), tile("a.png", row, 4))
        assert not np.array_equal(tile("b.png", row, 1), tile("b.png", row, 2))


def test_the_medium_view_is_shown_where_it_is_asked_for() -> None:
    assert sslkit("show-views", "--n", 1, "--out", "a.png", "--set", "algo=sequencematch").code == 0
    assert np.asarray(Image.open("a.png")).shape[1] == GAP + 7 * (SIDE + GAP)


def test_the_seed_is_that_of_the_views() -> None:
    for name, seed in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        assert sslkit("show-views", "--n", 2, "--seed", seed, "--out", name).code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes() != Path("c.png").read_bytes()


def test_a_run_has_labels_and_mixed_images(finished: Finished) -> None:
    assert sslkit("show-views", finished.folder, "--n", 2, "--out", "run.png").code == 0
    assert np.asarray(Image.open("run.png")).shape[1] == GAP + 4 * (SIDE + GAP)  # original, weak, strong, mixed


@pytest.mark.parametrize(("algorithm", "tiles"), [("mixmatch", 3), ("pseudo_label", 2), ("remixmatch", 4)])
def test_methods_that_mix_otherwise_show_their_views_and_labels(algorithm: str, tiles: int) -> None:
    """Original and views: mixmatch and pseudo_label have no strong view, remixmatch mixes labelled images, too."""
    small = {"finetune.steps": 1, "semi.steps": 1, "semi.batch": 4, "semi.mu": 2, "threads": 1}
    changes = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    assert sslkit("run", "--algo", algorithm, "--name", "tried", *changes).code == 0
    (run,) = Path("runs").glob("tried-*")
    assert sslkit("show-views", run, "--n", 2, "--out", "run.png").code == 0
    assert np.asarray(Image.open("run.png")).shape[1] == GAP + tiles * (SIDE + GAP)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "views.txt"], ".png"),
        (["--out", "there.png"], "not overwritten"),
        (["--out", "gone/a.png"], "gone/a.png"),
        (["--out", "a.png", "--n", "0"], "--n"),
        (["--out", "a.png", "--set", "views.strong=usbb"], "did you mean 'usb'"),
        (["--out", "a.png", "--set", "views.strong.randaugment=rand-m9"], "rand-m9-mstd0.5-inc1"),
        (["--out", "a.png", "--data", "digitz"], "did you mean 'digits'"),
        (["nothing", "--out", "a.png"], "not a finished run"),
        (["nothing", "--out", "a.png", "--seed", "2"], "drop --data, --seed and --set"),
        ([], "--out"),
    ],
)
def test_mistakes(arguments: list[str], words: str) -> None:
    Path("there.png").write_text("precious")
    assert_refused(sslkit("show-views", *arguments), words)
    assert not Path("a.png").exists()


def test_captions_say_what_was_drawn() -> None:
    policy = Policy(pad=0.125, crop=0.5, flip=True, blur=1.0, cutout=0.5, erase=1.0, randaugment="usb-n3")
    drawn = plan(policy, draws(50), 32, 32)
    assert drawn.flip is not None
    for row in range(50):
        said = drawn.describe(row)
        assert said[0].startswith("window ")
        assert said[1].startswith("crop ")
        assert ("mirrored" in said) == bool(drawn.flip[row])
        used = [names[row] for names, *_ in drawn.ops if names[row] != "identity"]
        first = 2 + int(drawn.flip[row])
        assert [line.split(" ")[0] for line in said[first : first + len(used)]] == used
        assert any(line.startswith("blur ") for line in said)
    assert plan(POLICIES["plain"], draws(1), 8, 8).describe(0) == []


def test_captions_of_a_turn() -> None:
    drawn = plan(Policy(rotate=30), draws(400), 16, 16)
    said = torch.tensor([float(drawn.describe(i)[0].split()[1]) for i in range(400)])
    assert float(said.abs().max()) <= 30
    assert float(said.max()) > 25
