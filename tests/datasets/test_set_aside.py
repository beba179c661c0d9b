"""A test part that is set aside: stratified, the same for every seed, stored, said, and by groups where given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sslkit.config import Data
from sslkit.data.held_out import by_name, found_in, hold_out, numbered
from sslkit.data.splits import split
from sslkit.errors import UserError
from sslkit.prepare import Prepared, prepare
from sslkit.store import read_json
from tests.cli.call import folder_of, run
from tests.datasets.make import own, pictures
from tests.kernel.make import TINY, images


def asked(data: str, **keys: Any) -> Prepared:
    seed = keys.pop("seed", 0)
    request = {"data": data, "data.labels": "2/class", "seed": seed} | {f"data.{k}": v for k, v in keys.items()}
    return prepare(TINY | request)


def names_of_test(made: Prepared) -> set[str]:
    return {made.images.names[i] for i in made.split.test}


def per_class(made: Prepared) -> list[int]:
    label = made.images.label[made.split.test]
    return np.bincount(label[label >= 0], minlength=len(made.images.classes)).tolist()


@pytest.fixture
def sizes(here: Path) -> str:
    for name, count in (("a", 20), ("b", 9), ("c", 2), ("d", 1)):
        pictures(here / "d", [f"{name}/{name}{i:02}.png" for i in range(count)])
    pictures(here / "d", [f"unlabeled/{i}.png" for i in range(5)])
    return f"folder:{here / 'd'}"


@pytest.mark.parametrize(
    ("share", "expected"), [(0.2, [4, 2, 1, 0]), (0.5, [10, 4, 1, 0]), (0.01, [1, 1, 1, 0]), (0.9, [18, 8, 1, 0])]
)
def test_every_class_gives_its_share_and_keeps_an_image(sizes: str, share: float, expected: list[int]) -> None:
    made = asked(sizes, test=share, labels="all")
    assert per_class(made) == expected
    (said,) = [remark for remark in made.remarks if "no test part" in remark]
    assert said == (
        f"no test part with labels: {sum(expected)} of 32 labelled images are set aside as one, the same ones for "
        f"every seed (data.test={share:g})"
    )
    assert any("1 of 4 classes have no test image and enter no score: 'd'" in remark for remark in made.remarks)


def test_the_test_is_the_same_for_every_seed_and_in_neither_labels_nor_pool(sizes: str) -> None:
    made = [asked(sizes, labels="1/class", seed=seed) for seed in (0, 1, 2)]
    assert names_of_test(made[0]) == names_of_test(made[1]) == names_of_test(made[2])
    for one in made:
        others = {one.images.names[i] for i in [*one.split.labeled, *one.split.pool]}
        assert len(others) == 37 - 7
        assert not names_of_test(one) & others


def test_more_images_leave_most_of_the_test_as_it_was(here: Path, sizes: str) -> None:
    before = names_of_test(asked(sizes, labels="1/class"))
    pictures(here / "d", ["a/new.png"])
    after = names_of_test(asked(sizes, labels="1/class"))
    assert len(before & after) >= len(before) - 1


def test_the_test_is_stored_with_the_run(here: Path, sizes: str) -> None:
    call = run("--data", sizes, "--labels", "1/class", "--json")
    assert call.code == 0, call.err
    assert "7 of 32 labelled images are set aside as one" in call.err
    about = read_json(folder_of(call, Path("runs")) / "data.json")
    assert {*about["set_aside"]} == names_of_test(asked(sizes, labels="1/class"))
    assert any("set aside" in remark for remark in about["remarks"])


def test_a_test_of_a_table(here: Path) -> None:
    pictures(here, [f"{i}.png" for i in range(20)])
    (here / "t.csv").write_text("path,label\n" + "".join(f"{i}.png,{'xy'[i % 2]}\n" for i in range(20)))
    assert per_class(asked(f"csv:{here / 't.csv'}")) == [2, 2]


def test_a_corrected_label_leaves_the_test_as_it_is(here: Path, sizes: str) -> None:
    before = asked(sizes, labels="1/class")
    names = [name for i, name in enumerate(before.images.names) if before.images.label[i] >= 0]
    rows = [f"{name},{'b' if name == 'a/a00.png' else name[0]}" for name in names]
    Path("l.csv").write_text("path,label\n" + "\n".join(rows))
    after = asked(sizes, labels="file:l.csv")
    assert names_of_test(after) == names_of_test(before)
    assert after.images.label[after.images.names.index("a/a00.png")] == 1


@pytest.mark.parametrize("key", ["labels", "pool"])
def test_lists_of_positions_are_refused_where_images_were_taken_out(key: str, sizes: str, here: Path) -> None:
    Path("i.csv").write_text("Index\n0\n1\n")
    with pytest.raises(UserError, match=r"index:FILE.csv counts positions in the training part as it was read"):
        asked(sizes, **{key: "index:i.csv"})


# Groups.


def patients(root: Path) -> str:
    """Two classes, 12 patients with 1 to 4 images each, and unlabelled images of the same patients."""
    draw = np.random.default_rng(0)
    for patient in range(12):
        name = "sick" if patient % 2 else "well"
        pictures(root, [f"{name}/p{patient:02}_{i}.png" for i in range(draw.integers(1, 5))])
        pictures(root, [f"unlabeled/p{patient:02}_u.png", f"unlabeled/other{patient}.png"])
    return f"folder:{root}"


def groups(made: Prepared, index: Any) -> set[str]:
    names = [made.images.names[i].rpartition("/")[2] for i in index]
    return {name[:3] for name in names if name[0] == "p"}


def assert_apart(made: Prepared) -> None:
    s = made.split
    train, val, test = groups(made, [*s.labeled, *s.pool]), groups(made, s.val), groups(made, s.test)
    assert not test & (train | val)
    assert not val & train


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"val": 0.3},
        {"tune": True, "seed": 100},
        {"tune": True, "seed": 101, "val": 0.3},
        {"pool": "all", "val": 0.3},
    ],
)
@pytest.mark.parametrize("given", [False, True])
def test_groups_are_kept_together(keys: dict[str, Any], given: bool, here: Path) -> None:
    data = patients(here / "d")
    if given:
        pictures(here / "d", ["test/sick/q1.png", "test/well/q2.png"])
    made = asked(data, groups=r"(p\d+)_", labels="all", **keys)
    assert_apart(made)
    assert len(made.split.test) >= 2
    assert min(per_class(made)) >= 1
    assert bool(len(made.split.val)) == ("val" in keys)
    assert any(
        "12 groups" not in r and "groups among" in r and "names without it stand alone" in r for r in made.remarks
    )


def test_groups_of_a_column(here: Path) -> None:
    rows = [f"{i}.png,{'xy'[i // 3 % 2]},s{i // 3}" for i in range(30)]
    pictures(here, [f"{i}.png" for i in range(30)])
    (here / "t.csv").write_text("path,label,group\n" + "\n".join(rows))
    made = asked(f"csv:{here / 't.csv'}", labels="all")
    held = {int(name[:-4]) // 3 for name in names_of_test(made)}
    assert names_of_test(made) == {f"{i}.png" for i in range(30) if i // 3 in held}
    assert per_class(made) == [3, 3]
    assert any("by 2 of 10 groups" in remark for remark in made.remarks)


def test_groups_in_both_given_parts_are_said(here: Path) -> None:
    own(here / "pets")
    made = asked(f"folder:{here / 'pets'}", groups=r"((cat|dog)\d)\.png")
    (said,) = [remark for remark in made.remarks if "images in training and in test" in remark]
    assert said == "groups with images in training and in test: 4, as 'cat0', 'cat1', 'dog0', …"


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_out_against_its_promises(seed: int) -> None:
    """Of any labels and groups: whole groups, no class without an image left, each class near its share."""
    draw = np.random.default_rng(seed)
    classes, count = int(draw.integers(1, 6)), int(draw.integers(4, 200))
    label = draw.integers(-1, classes, count)
    label[:classes] = np.arange(classes)[:count]
    group = draw.integers(0, max(1, count // int(draw.integers(1, 6))), count)
    share = float(draw.uniform(0.05, 0.6))
    chosen = hold_out(label, group, share, draw.permutation(group.max() + 1).tolist())
    assert not {*group[chosen]} & {*group[~chosen]}
    largest = np.bincount(group).max()
    for c in range(classes):
        size, held = (label == c).sum(), (label[chosen] == c).sum()
        assert held < size
        assert held <= max(1, share * size) + largest
    alone = hold_out(label, np.arange(count), share, draw.permutation(count).tolist())
    for c in range(classes):
        size = int((label == c).sum())
        assert (label[alone] == c).sum() == (min(max(1, round(share * size)), size - 1) if size > 1 else 0)


def test_a_class_in_two_large_groups_is_still_tested() -> None:
    label = np.repeat([0, 1], [60, 60])
    group = np.repeat([0, 1, 2, 3], [25, 35, 30, 30])
    assert sorted({*group[hold_out(label, group, 0.1, [0, 1, 2, 3])]}) == [0, 2]


def test_the_order_of_a_name_is_its_own() -> None:
    names = [f"n{i}" for i in range(100)]
    fewer = [name for name in names if name != "n7"]
    order = [names[i] for i in by_name(names)]
    assert order != names
    assert [name for name in order if name != "n7"] == [fewer[i] for i in by_name(fewer)]


def test_a_pattern_finds_its_first_brackets_or_all() -> None:
    assert found_in("data.groups", r"(\d+)-\w", ["a/12-x", "a/12-y", "b/3-x", "odd"]) == ["12", "12", "3", ""]
    assert found_in("data.groups", r"\d+", ["a/12-x", "b/12-y"]) == ["12", "12"]
    assert numbered(["b", "a", "b"])[0].tolist() == [0, 1, 0]


def test_without_groups_a_split_is_as_it_was() -> None:
    found = images([12, 12], unlabeled=3)
    for data in (Data(labels="4/class", val=0.25), Data(labels="4/class", tune=True)):
        alone = split(found, data, 100, np.arange(27))
        plain = split(found, data, 100)
        assert len(alone.test) == len(plain.test)
        assert len(alone.val) == len(plain.val)
