"""What of a pool looks like no class of the labels: the bound, the list, and a run without what is listed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from sslkit.config import Data
from sslkit.data import UNKNOWN, Images
from sslkit.data.splits import split
from sslkit.errors import UserError
from sslkit.finished.audit.outside import at_least, shares_above
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.cli.test_audit import rows


def slow_bound(pool: list[float], known: list[float]) -> float:
    chance = [math.sqrt(math.log(40) / (2 * len(x))) for x in (pool, known)]
    best = 0.0
    for t in [*pool, *known]:
        g = sum(x > t for x in pool) / len(pool) - chance[0]
        f = sum(x > t for x in known) / len(known) + chance[1]
        best = max(best, (g - f) / (1 - f) if f < 1 else 0)
    return best


@pytest.mark.parametrize(("n", "m"), [(300, 200), (1, 1), (50, 400)])
@pytest.mark.parametrize("apart", [0.0, 2.0])
@pytest.mark.parametrize("levels", [3, 1000])
def test_bound_and_shares_are_the_loops(n: int, m: int, apart: float, levels: int) -> None:
    draw = np.random.default_rng(n)
    known = np.round(draw.normal(size=m) * levels) / levels
    pool = np.round((draw.normal(size=n) + apart * (np.arange(n) % 2)) * levels) / levels
    assert at_least(pool, known) == pytest.approx(slow_bound(pool.tolist(), known.tolist()))
    expected = [(1 + sum(x >= s for x in known.tolist())) / (m + 1) for s in pool.tolist()]
    assert shares_above(pool, known).tolist() == pytest.approx(expected)


def test_by_hand() -> None:
    """Of a million images a half is beyond all of a million known ones; chance leaves 0.14% to each."""
    pool, known = np.repeat([0.0, 1.0], 500_000), np.zeros(1_000_000)
    chance = math.sqrt(math.log(40) / 2e6)
    assert at_least(pool, known) == pytest.approx((0.5 - 2 * chance) / (1 - chance))
    assert at_least(known, known) == 0
    assert at_least(pool[:0], known) == 0
    assert shares_above(np.array([2.0, 1.0, 0.5]), np.array([1.0, 0.7, 0.1])).tolist() == [1 / 4, 2 / 4, 3 / 4]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_the_bound_holds_in_19_of_20_pools(share: float) -> None:
    """Where unknown images score higher, the same, and on both sides."""
    draw, held, bounds = np.random.default_rng(0), 0, []
    for k in range(200):
        n = round(400 * share)
        far = draw.normal(3, 1, n) if k % 2 else draw.normal(0, 3, n)
        bounds.append(at_least(np.concatenate([draw.normal(size=400 - n), far]), draw.normal(size=300)))
        held += bounds[-1] <= share
    assert held >= 190
    assert max(bounds) > share / 2 or share < 0.2, "it says something, where so few images can"


def test_images_that_a_file_names_are_left_out_of_the_pool(tmp_path: Path) -> None:
    label = np.repeat(np.arange(2), 10)
    names = [f"a/{i}.png" for i in range(20)] + ["b/0.png", "b/1.png"]
    made = Images(np.zeros((22, 3, 4, 4), np.uint8), np.array([*label, 0, 1]), 20, ["x", "y"], "", names)
    (tmp_path / "out.csv").write_text("file,score\na/3.png,0.5\n12,0.4\n19.png,0.1\n")
    plain, less = (
        split(made, Data(labels="2/class", pool=p), seed=1) for p in ("complement", f"without:{tmp_path / 'out.csv'}")
    )
    assert {*less.pool.tolist()} == {*plain.pool.tolist()} - {3, 12, 19}
    assert np.array_equal(less.labeled, plain.labeled)
    (tmp_path / "out.csv").write_text("file\nb/0.png\nc.png\n")
    with pytest.raises(UserError, match="2 of 2 rows match no image"):
        split(made, Data(labels="2/class", pool=f"without:{tmp_path / 'out.csv'}"), seed=1)


def test_an_audit_lists_what_is_outside_and_the_next_run_goes_without(tmp_path: Path) -> None:
    """Of what is listed most is unknown indeed; the list is of the pool, in its order."""
    steps = [
        *("--open-set", "4", "--algo", "iomatch", "--backbone", "wrn_10_1", "--labels", "20/class"),
        *(
            "--set",
            "finetune.steps=40",
            "--set",
            "finetune.lr=3e-3",
            "--set",
            "semi.steps=20",
            "--set",
            "semi.batch=16",
        ),
    ]
    made = run(*steps, "--runs", tmp_path / "runs", "--json")
    assert made.code == 0, made.err
    folder = folder_of(made, tmp_path / "runs")
    call = sslkit("audit", folder, "--out", tmp_path / "out", "--json")
    assert call.code == 0, call.err
    found = rows(tmp_path / "out" / "outside.csv")
    assert call.json["outside"] == len(found) > 20
    assert 0 <= call.json["outside_at_least"] <= 398 / call.json["pool"]
    assert all(float(row["p"]) <= 0.05 for row in found)
    scores = [float(row["score"]) for row in found]
    assert scores == sorted(scores, reverse=True)
    prepared = prepare({"data.open_set": "4", "data.labels": "20/class", "backbone": "wrn_10_1"})
    truth = dict(zip(prepared.images.names, prepared.images.label.tolist(), strict=True))
    assert sum(truth[row["file"]] == UNKNOWN for row in found) > 0.7 * len(found)
    assert "least like a class" in (tmp_path / "out" / "index.html").read_text("utf-8")
    less = run(*steps, "--runs", tmp_path / "runs", "--pool", f"without:{tmp_path}/out/outside.csv", "--json")
    assert less.code == 0, less.err
    assert less.json["stages"][0]["new"] is False, "finetune is the same"
    assert less.json["stages"][-1]["new"]
    said = sslkit("audit", folder, "--out", tmp_path / "again").out
    assert f"of the pool at least {100 * call.json['outside_at_least']:.0f}% look like no class of the labels" in said


def test_a_file_that_is_not_there_is_named() -> None:
    assert_refused(run("--pool", "without:gone.csv"), "gone.csv")
    assert_refused(run("--pool", "except:gone.csv"), "pool must be complement, all, index:FILE.csv or without:FILE.csv")
