"""Data sets and label files at the command line: a run from folder to prediction, and one line for what cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslkit.terminal import screen
from tests.cli.call import assert_refused, folder_of, run, sslkit
from tests.datasets.make import own, pictures


def test_a_run_on_a_folder_with_listed_labels_and_its_predictions(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    own(here / "pets")
    Path("l.csv").write_text("path,label\ncat1.png,cat\ncat2.png,cat\ndog1.png,dog\n")
    call = run("--data", "folder:pets", "--labels", "file:l.csv", "--json")
    assert call.code == 0, call.err
    assert "l.csv: 3 of 3 rows matched" in call.err
    assert "3 labelled, 12 unlabelled (without the labelled ones), 4 test" in call.err
    done = sslkit("predict", folder_of(call, Path("runs")), "--test", "--json")
    assert done.code == 0, done.err
    rows = Path("predictions.csv").read_text().splitlines()
    files = [row.partition(",")[0] for row in rows[1:]]
    assert files == [f"test/{name}/t_{name}{i}.png" for name in ("cat", "dog") for i in (0, 1)]


def test_the_configuration_of_a_run_with_a_data_folder_repeats_it(here: Path) -> None:
    for part in ("train", "val"):
        pictures(here / "net", [f"{part}/n{c}/{i}.JPEG" for c in (1, 2) for i in range(4)])
    Path("i.csv").write_text("Index\n0\n5\n")
    first = run("--data", "imagenet", "--data-dir", "net", "--labels", "index:i.csv", "--show-config")
    assert first.code == 0, first.err
    assert 'dir = "net"' in first.out
    assert 'labels = "index:i.csv"' in first.out
    Path("c.toml").write_text(first.out)
    again = sslkit("run", "--config", "c.toml", "--show-config")
    assert again.out == first.out


REFUSED: list[tuple[list[str], str]] = [
    (["--data", "imagenet"], "--data-dir DIR, with DIR/train/SYNSET/*.JPEG and DIR/val/SYNSET/*.JPEG"),
    (["--data", "imagenet", "--data-dir", "gone"], "no folder gone/train; expected DIR/train/SYNSET/*.JPEG and"),
    (["--data", "imagenet", "--data-dir", "flat"], "flat/val holds no class folder; expected"),
    (["--data", "imagenet", "--data-dir", "net", "--download"], "'imagenet' has no use for data.download"),
    (["--data", "imagenet:net"], "takes nothing after a colon"),
    (["--data", "cifar10"], "--data-dir DIR, which holds cifar-10-batches-py/data_batch_1, "),
    (["--data", "cifar10", "--download"], "--data-dir DIR"),
    (["--data", "cifar10", "--data-dir", "gone"], "no gone/cifar-10-batches-py/data_batch_1; --data-dir must hold"),
    (["--data", "food101", "--data-dir", "l.csv"], "no l.csv/food-101/images"),
    (["--data", "inaturalist", "--data-dir", "gone"], "no folder gone/2021_train"),
    (["--data", "folder"], "folder:DIR"),
    (["--data", "folder:gone"], "no folder gone"),
    (["--data", "pets"], "; a folder of one's own is written folder:pets"),
    (["--data", "folder:flat"], "there is no test part, and no class has an image to spare for one"),
    (["--data", "folder:pets", "--set", "data.groups=("], "data.groups='(' is no regular expression: missing )"),
    (["--data", "folder:pets", "--set", "data.groups=x(9)"], "found in no name; names are like 'train/cat/cat0.png'"),
    (["--data", "folder:pets", "--set", "data.test=1"], "data.test must be from 0.01 to 0.9, got 1"),
    (
        ["--data", "folder:pets", "--set", "data.on_bad_image=go"],
        "unknown data.on_bad_image 'go'; known are skip, stop",
    ),
    (["--data", "folder:pets", "--data-dir", "pets"], "'folder:pets' has no use for data.dir"),
    (["--data", "csv:gone.csv"], "cannot read gone.csv: No such file"),
    (["--data", "csv:l.csv"], "no image file ./x.png; --on-bad-image skip goes on without such images"),
    (["--data-dir", "pets"], "'digits' has no use for data.dir"),
    (["--download"], "'digits' has no use for data.download"),
    (["--set", "data.download=3"], "data.download must be true or false"),
    (["--set", "data.dir=[1]"], "data.dir must be text"),
    (["--data", "folder:pets", "--labels", "file:gone.csv"], "cannot read gone.csv"),
    (["--data", "folder:pets", "--labels", "file:l.csv"], "1 of 1 rows match no image: 'x.png' (line"),
    (["--labels", "index:"], "Is a directory"),
    (["--labels", "index:l.csv"], "Index must hold positions from 0 to 999, it lists 'path', 'x.png'"),
    (["--labels", "index:[/red].csv"], "cannot read [/red].csv"),
    (["--labels", "lines:l.csv"], "10/class, 40, 1% or all, or name a file as index:FILE.csv or file:FILE.csv"),
    (["--pool", "file:l.csv"], "data.pool must be complement, all, index:FILE.csv or without:FILE.csv, got"),
    (["--pool", "index:gone.csv"], "cannot read gone.csv"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_what_cannot_be_is_one_line_and_leaves_nothing(arguments: list[str], words: str, here: Path) -> None:
    own(here / "pets")
    pictures(here / "flat", ["train/n1/1.JPEG", "val/ILSVRC2012_val_00000001.JPEG"])
    Path("l.csv").write_text("path,label\nx.png,cat\n")
    before = sorted(here.rglob("*"))
    assert_refused(run(*arguments), words)
    assert sorted(here.rglob("*")) == before
