"""Classes that only the pool has: who is where, what is hidden, what is said, and what a run is called."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslkit.config import Data
from sslkit.data import UNKNOWN, Images, Raw
from sslkit.data.open_set import opened
from sslkit.data.parts import Parts
from sslkit.data.splits import Split, split
from sslkit.errors import UserError
from sslkit.machine import Machine
from sslkit.prepare import Prepared, prepare
from sslkit.record import run_digest
from sslkit.record.stages import stages
from tests.cli.call import assert_refused, run

PER_CLASS, TEST = 30, 5
NAMES = ["ant", "bee", "cat", "dog", "elk"]


def parts(bare: int = 0) -> Parts:
    """Of five classes; the first `bare` training images have no label."""
    train, test = (np.repeat(np.arange(len(NAMES)), n) for n in (PER_CLASS, TEST))
    train[:bare] = -1
    first, last = (Raw(np.zeros((len(label), 4, 4), np.uint8), label) for label in (train, test))
    return Parts(NAMES, first, last)


def images(found: Parts) -> Images:
    label = np.concatenate([found.train.label, found.test.label])
    nothing = np.zeros((len(label), 3, 4, 4), np.uint8)
    return Images(nothing, label, len(found.train.label), found.classes, "", [str(i) for i in range(len(label))])


def made(text: str, bare: int = 0, **data: Any) -> tuple[Images, Split]:
    asked = Data(labels="4/class", open_set=text, **data)
    opened_up = images(opened(parts(bare), asked))
    return opened_up, split(opened_up, asked, seed=3)


@pytest.mark.parametrize(
    ("text", "known"),
    [("2", [0, 1, 2]), ("3", [0, 1]), ("bee", [0, 2, 3, 4]), ("elk, ant", [1, 2, 3]), ("bee,dog,", [0, 2, 4])],
)
def test_known_classes_are_renumbered_in_their_order_and_the_others_are_unknown(text: str, known: list[int]) -> None:
    found = opened(parts(bare=2), Data(open_set=text))
    assert found.classes == [NAMES[c] for c in known]
    for raw, n, bare in ((found.train, PER_CLASS, 2), (found.test, TEST, 0)):
        wanted = [known.index(c) if c in known else UNKNOWN for c in range(5) for _ in range(n)]
        wanted[:bare] = [-1] * bare
        assert raw.label.tolist() == wanted


@pytest.mark.parametrize("pool", ["complement", "all"])
def test_labels_validation_and_test_are_of_known_classes_and_the_pool_of_all(pool: str) -> None:
    found, places = made("2", pool=pool, val=0.25)
    label = found.label
    for index, each in ((places.labeled, 3), (places.val, 1), (places.test, TEST)):
        assert np.bincount(label[index]).tolist() == [each] * 3
    assert places.unknown.tolist() == list(range(5 * PER_CLASS + 3 * TEST, 5 * PER_CLASS + 5 * TEST))
    hidden = label[places.pool]
    assert (hidden == UNKNOWN).sum() == 2 * PER_CLASS, "none of them is left out"
    there = PER_CLASS - 4 + (3 if pool == "all" else 0)
    assert np.bincount(hidden[hidden >= 0]).tolist() == [there] * 3
    assert len(np.intersect1d(places.pool, places.val)) == 0


def test_the_labels_of_known_classes_are_those_of_a_run_without_unknown_ones() -> None:
    """So that both are matched; and of such a run nothing changes."""
    (_, places), (_, closed) = made("2"), made("")
    first = closed.labeled[closed.labeled < 3 * PER_CLASS]
    assert {*places.labeled.tolist()} == {*first.tolist()}
    assert "unknown" not in closed.parts()
    assert [*places.parts()] == ["labeled", "pool", "val", "test", "unknown"]


def test_a_quarter_of_the_unknown_ones_stands_in_for_the_test_when_settings_are_chosen() -> None:
    found, places = made("2", tune=True)
    assert (found.label[places.unknown] == UNKNOWN).all()
    assert len(places.unknown) == round(2 * PER_CLASS / 4)
    assert places.unknown.max() < 5 * PER_CLASS, "of the training part"
    assert len(np.intersect1d(places.unknown, places.pool)) == 0


def test_a_long_tail_is_of_the_known_classes() -> None:
    found, places = made("2", imbalance="4")
    hidden = found.label[places.pool]
    assert (hidden == UNKNOWN).sum() == 2 * PER_CLASS
    counts = np.bincount(hidden[hidden >= 0])
    assert counts[0] == 4 * counts[2] or abs(counts[0] / counts[2] - 4) < 0.6


def test_listed_labels_must_be_of_known_classes(tmp_path: Any) -> None:
    (tmp_path / "l.csv").write_text("Index\n0\n31\n149\n")
    asked = Data(labels=f"index:{tmp_path / 'l.csv'}", open_set="2")
    with pytest.raises(UserError, match="1 of the listed images have no label of a known class, the first at 149"):
        split(images(opened(parts(), asked)), asked, seed=0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4", "leaves fewer than two of the 5 classes"),
        ("99", "leaves fewer than two"),
        ("ant,bee,cat,dog", "leaves fewer than two"),
        ("cow", "cow"),
        ("-1", "-1"),
    ],
)
def test_what_cannot_be_is_said(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        opened(parts(), Data(open_set=text))


def test_a_refusal_is_one_line() -> None:
    assert_refused(run("--open-set", "9"), "leaves fewer than two of the 10 classes")
    assert_refused(run("--open-set", "cow"), "cow")


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_classes_that_the_test_alone_has(kind: str, tmp_path: Path) -> None:
    """What nobody labelled in a pool, but somebody in the test; unless it is named, it is refused."""
    rows = ["path,label,split"]
    for number, (part, name) in enumerate([("train", "b"), ("train", "c"), ("unlabeled", ""), ("test", "b")] * 4):
        (tmp_path / part / name).mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), number).save(tmp_path / part / name / f"{number}.png")
        rows.append(f"{part}/{name}/{number}.png,{name},{part.replace('unlabeled', 'train')}")
    for name in ("a", "z"):
        (tmp_path / "test" / name).mkdir()
        Image.new("L", (8, 8), 99).save(tmp_path / "test" / name / "1.png")
        rows.append(f"test/{name}/1.png,{name},test")
    (tmp_path / "t.csv").write_text("\n".join(rows).replace("//", "/") + "\n")
    if kind == "folder":
        (tmp_path / "t.csv").unlink()
    data = {"data.name": f"csv:{tmp_path / 't.csv'}" if kind == "csv" else f"folder:{tmp_path}"}
    made = prepare(data | {"data.open_set": "a,z", "backbone": "vit_micro"})
    assert made.images.classes == ["b", "c"]
    assert len(made.split.unknown) == 2
    assert (made.images.label[made.split.pool] == -1).all()
    assert len(made.split.pool) == 4
    with pytest.raises(UserError, match="--open-set takes named ones for unknown"):
        prepare(data | {"data.open_set": "a", "backbone": "vit_micro"})


def digits(text: str) -> Prepared:
    return prepare({"backbone": "vit_micro", "control.run": True, "data.open_set": text})


def test_a_run_says_what_was_made_and_has_a_name_and_stages_of_its_own() -> None:
    closed, first, named = digits(""), digits("4"), digits("6,7,8,9")
    (said,) = [remark for remark in first.remarks if "no label is of" in remark]
    assert "no label is of '6', '7', '8', '9' (data.open_set=4)" in said
    hidden = first.images.label[first.split.pool]
    assert f"{(hidden == UNKNOWN).sum()} such training images are not labelled" in said
    assert f"{len(first.split.unknown)} of the test stand apart" in said
    assert len({run_digest(closed), run_digest(first), run_digest(named)}) == 3
    machine = Machine("cpu", "fp32", 1)
    keys = [{s.label: s.spec.key for s in stages(made, machine)} for made in (closed, first, named)]
    assert all(keys[0][label] != keys[1][label] for label in keys[0]), "finetune, too: it has other classes"
    assert keys[1] == keys[2], "the same data, asked for in another way"
