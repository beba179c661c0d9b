"""`sslkit audit`: planted wrong labels are found, what is wanted is uncertain and new, and corrections go back in."""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sslkit.terminal import screen
from tests.cli.call import Call, assert_refused, folder_of, run, sslkit

LABELLED, WRONG, TESTED = 160, 24, 150
NAME = "=<img src=x>&'\"[red].png"  # of one picture, which is labelled
STEPS = ("--set", "finetune.steps=30", "--set", "finetune.batch=32", "--set", "semi.steps=30", "--set", "semi.batch=16")


@dataclass(frozen=True)
class Audited:
    """A run on digits with planted wrong labels, and what the audit of it wrote."""

    data: Path
    runs: Path
    folder: Path
    out: Path
    truth: dict[str, str]  # name -> right label
    planted: set[str]
    call: Call


def digits(folder: Path) -> tuple[dict[str, str], set[str]]:
    """`all.csv` with pictures in three parts: labelled, some of them wrongly; without a label; tested."""
    data, rng = load_digits(), np.random.default_rng(0)
    order = rng.permutation(len(data.target))[:700].tolist()
    folder.mkdir()
    truth, planted, rows = {}, set(), []
    for k, i in enumerate(order):
        name = NAME if k == 0 else f"{i:04d}.png"
        Image.fromarray((data.images[i] * 255 / 16).round().astype(np.uint8)).save(folder / name)
        label, tested = int(data.target[i]), k >= len(order) - TESTED
        truth[name] = str(label)
        if 0 < k <= WRONG:
            label = (label + int(rng.integers(1, 10))) % 10
            planted.add(name)
        rows.append([name, label if k < LABELLED or tested else "", "test" if tested else "train"])
    with (folder / "all.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["path", "label", "split"], *rows])
    return truth, planted


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audited:
    top = tmp_path_factory.mktemp("audit")
    truth, planted = digits(top / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screen, "step_seconds", lambda *_: {})
        asked = ("--data", f"csv:{top}/data/all.csv", "--labels", "all", "--algo", "fixmatch", *STEPS)
        made = run(*asked, "--runs", top / "runs", "--json")
    assert made.code == 0, made.err
    folder = folder_of(made, top / "runs")
    call = sslkit("audit", folder, "--out", top / "out", "--n", 60)
    assert call.code == 0, call.err
    return Audited(top / "data", top / "runs", folder, top / "out", truth, planted, call)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_planted_wrong_labels_are_found(audited: Audited) -> None:
    found = rows(audited.out / "suspect_labels.csv")
    assert len(found) <= 60
    first = [row for row in found if row["part"] == "labeled"]
    hits = [row for row in first if row["file"] in audited.planted]
    assert len(hits) >= 0.8 * WRONG
    assert sum(row["suggested"] == audited.truth[row["file"]] for row in hits) > len(hits) / 2
    likely = [row for row in first if row["likely"] == "yes"]
    share = sum(row["file"] in audited.planted for row in likely) / len(likely)
    assert share > 2 * WRONG / LABELLED, "more of the likely ones are wrong than of all"
    assert all(row["label"] != row["suggested"] for row in found)
    scores = [float(row["score"]) for row in found]
    assert scores == sorted(scores, reverse=True)
    assert f"listed are the {len(found)} most doubtful" in audited.call.out


def test_how_far_the_predictions_can_be_trusted_is_said(audited: Audited) -> None:
    """By the share of labels that they share, of all that were judged: 160 labelled and 150 in the test."""
    again = sslkit("audit", audited.folder, "--out", "all", "--n", 400, "--json")
    doubtful = len(rows(Path("all/suspect_labels.csv")))
    assert again.json["shared"] == pytest.approx(1 - doubtful / (LABELLED + TESTED))
    said = f"predictions agree with {100 * again.json['shared']:.0f}% of "
    assert said in audited.call.out
    assert said in " ".join((audited.out / "index.html").read_text("utf-8").split())


def test_images_to_label_next_are_of_the_pool_and_have_no_label(audited: Audited) -> None:
    found = rows(audited.out / "label_next.csv")
    labels = {row["path"]: row for row in rows(audited.data / "all.csv")}
    assert len(found) == 60
    assert all(labels[row["file"]]["label"] == "" and labels[row["file"]]["split"] == "train" for row in found)
    assert {row["label"] for row in found} == {""}
    assert len({row["file"] for row in found}) == 60
    scores = [float(row["score"]) for row in found]
    assert scores == sorted(scores, reverse=True)


class Page(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "src":
                self.pictures.append(str(value))
            if name == "href":
                self.links.append(str(value))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_beside_it_and_shows_names_as_they_are(audited: Audited) -> None:
    page = Page()
    page.feed((audited.out / "index.html").read_text("utf-8"))
    listed = [
        row for name in ("suspect_labels", "label_next", "outside") for row in rows(audited.out / f"{name}.csv")[:60]
    ]
    assert len(page.pictures) == len(listed)
    assert not page.links
    assert not {"script", "link", "iframe"} & {*page.tags}
    for picture in page.pictures:
        kind, _, data = picture.partition(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (112, 112)
    assert all(row["file"].removeprefix("'") in page.text for row in listed)


def test_hostile_words_are_no_markup() -> None:
    from sslkit.finished.audit.sheet import Card, page

    evil = "<script>alert(1)</script>&\"'"
    card = Card(np.zeros((3, 8, 8), np.uint8), evil, evil, evil, 0.5, {"part": evil})
    parsed = Page()
    parsed.feed(page(evil, [card], [card], [card], 0.5))
    assert "script" not in parsed.tags
    assert parsed.text.count(evil) == 1 + 1 + 4 * 3


def test_the_corrected_table_goes_back_in(audited: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every label is in it; a name that looks like a formula is found again."""
    found = rows(audited.out / "labels.csv")
    assert sum(bool(row["label"]) for row in found) == LABELLED + TESTED
    assert "'" + NAME in [row["file"] for row in found]
    for row in found:
        row["label"] = audited.truth[row["file"].removeprefix("'")]
    with Path("corrected.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    again = run("--data", f"csv:{audited.data}/all.csv", "--labels", "file:corrected.csv", "--json")
    assert again.code == 0, again.err
    assert f"{LABELLED + 60} labelled" in again.err
    audit = sslkit("audit", folder_of(again, Path("runs")), "--out", "second", "--json")
    assert audit.json["out"] == "second"
    known = {row["file"]: row["label"] for row in rows(Path("second/labels.csv")) if row["label"]}
    assert len(known) == LABELLED + 60 + TESTED
    assert all(label == audited.truth[name.removeprefix("'")] for name, label in known.items())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "--out", "full"], "full exists"),
        (["RUN", "--out", "new", "--n", "0"], "--n must be 1"),
        (["gone", "--out", "new"], "not a finished run"),
        (["RUN", "--out", "file/new"], "file/new"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments: list[str], words: str, audited: Audited) -> None:
    Path("full").mkdir()
    Path("full/x").touch()
    Path("file").touch()
    before = sorted(Path().rglob("*"))
    named = [str(audited.folder) if word == "RUN" else word for word in arguments]
    assert_refused(sslkit("audit", *named), words)
    assert sorted(Path().rglob("*")) == before
