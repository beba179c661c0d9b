"""`sslkit audit`: planted wrong labels are found, what is wanted is uncertain and new, and corrections go back in."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from sslkit.finished.audit.label_next import label_next
from sslkit.finished.audit.suspects import out_of_sample, suspects
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
    listed = [*rows(audited.out / "suspect_labels.csv"), *rows(audited.out / "label_next.csv")]
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
    parsed.feed(page(evil, [card], [card], 0.5))
    assert "script" not in parsed.tags
    assert parsed.text.count(evil) == 1 + 1 + 4 * 2


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


def slow_order(p: np.ndarray, x: np.ndarray, known: np.ndarray, n: int) -> list[int]:
    """By two loops over all pairs."""

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.sqrt((v * v).sum())

    chosen: list[int] = []
    for _ in range(n):
        best, place = -1.0, -1
        for i in range(len(x)):
            if i in chosen:
                continue
            others = [*known, *(x[j] for j in chosen)]
            near = min(float(np.sqrt(((unit(x[i]) - unit(o)) ** 2).sum())) for o in others)
            high, second = sorted(p[i])[::-1][:2]
            if (1 - (high - second)) * near > best:
                best, place = (1 - (high - second)) * near, i
        chosen.append(place)
    return chosen


def test_the_order_is_that_of_a_slow_search() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(4) / 2, 30)
    x, known = rng.normal(size=(30, 6)), rng.normal(size=(5, 6))
    order, score = label_next(p, x, known, 12)
    assert order.tolist() == slow_order(p, x, known, 12)
    assert (np.diff(score) <= 1e-12).all()
    assert sorted(label_next(p, x, known, 99)[0]) == list(range(30))


def test_copies_of_what_is_labelled_or_chosen_come_last() -> None:
    p = np.tile([0.5, 0.5], (5, 1))
    x = np.array([[1.0, 0], [1, 0.01], [0, 1], [0, 1], [-1, 0]])
    order, _ = label_next(p, x, np.array([[2.0, 0]]), 5)
    assert order.tolist()[:2] == [4, 2]
    assert order.tolist()[2] == 1


def slow_suspects(p: Sequence[Sequence[float]], label: Sequence[int], classes: int) -> list[bool]:
    """Confident learning, as the paper counts."""
    threshold = []
    for j in range(classes):
        own = [row[j] for row, y in zip(p, label, strict=True) if y == j]
        threshold.append(sum(own) / len(own) if own else float("inf"))
    found = []
    for row, y in zip(p, label, strict=True):
        sure = [j for j in range(classes) if row[j] >= threshold[j]]
        found.append(bool(sure) and max(sure, key=lambda j: row[j]) != y)
    return found


def test_likely_ones_are_those_that_confident_learning_counts() -> None:
    rng = np.random.default_rng(1)
    p, label = rng.dirichlet(np.ones(5), 200), rng.integers(0, 4, 200)  # no image is labelled 4
    found = suspects(p, label)
    assert found.likely.tolist() == slow_suspects(p.tolist(), label.tolist(), 5)
    assert 0 < found.likely.sum() < 200
    for i in range(200):
        others = {c: p[i, c] for c in range(5) if c != label[i]}
        assert found.suggested[i] == max(others, key=lambda c: others[c])
        assert found.score[i] == pytest.approx(max(others.values()) - p[i, label[i]])


def test_no_image_is_judged_by_a_head_that_has_seen_its_label() -> None:
    """An image that alone is far out to one side: with its label a head would be sure of it, without it is not."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 20))
    label = (x[:, 0] > 0).astype(np.int64)
    wrong = np.arange(5)
    label[wrong] = 1 - label[wrong]
    seen = LogisticRegression(C=100.0, max_iter=1000).fit(x, label).predict_proba(x)
    assert (seen[wrong, label[wrong]] > 0.5).mean() > 0.5, "these features can be learned by heart"
    p = out_of_sample(x, label, 2, 0)
    assert (p[wrong, label[wrong]] < 0.5).mean() >= 0.8
    np.testing.assert_allclose(p.sum(1), 1)
    assert (out_of_sample(x, label, 2, 0) == p).all()


def test_a_class_of_one_image_is_not_judged() -> None:
    rng = np.random.default_rng(3)
    x, label = rng.normal(size=(21, 3)), np.array([0] * 10 + [1] * 10 + [2])
    p = out_of_sample(x, label, 4, 0)
    assert p[20].tolist() == [0, 0, 1, 0]
    assert (p[:20, 2:] == 0).all()
    assert suspects(p, label).score[20] < 0
    assert (out_of_sample(x[:3], np.array([0, 0, 1]), 2, 0)[:, 0] == [1, 1, 0]).all()
