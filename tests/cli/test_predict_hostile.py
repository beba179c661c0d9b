"""`sslkit predict` of what people bring: lists, tables and archives in any form; nothing is left out without a word."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from sslkit.errors import UserError
from sslkit.finished import predict as prediction
from sslkit.finished.inputs import Input, inputs
from sslkit.finished.predict import Form
from tests.cli.call import assert_refused, sslkit
from tests.cli.conftest import CLASSES, Finished


def told(word: str, said: list[str] | None = None) -> dict[str, str]:
    """Path -> label of the images that are found."""
    found = inputs([word], CLASSES, said=said)
    return {os.path.normpath(one.name): CLASSES[one.label] if one.label >= 0 else "" for one in found}


@pytest.mark.parametrize("header", ["", "path", "Filename", "image"])
@pytest.mark.parametrize("suffix", [".txt", ".lst", ".csv"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_of_paths_with_or_without_a_header(header: str, suffix: str, coding: str, photos: list[str]) -> None:
    """A header is no image; the mark of an encoding is no part of the first path; one that is gone has its row."""
    draw = random.Random(header + suffix + coding)
    lines = [*draw.sample(photos, 4), "d/gone.png"]
    end = draw.choice(["\n", "\r\n"])
    Path(f"list{suffix}").write_bytes(end.join([header, *lines] if header else lines).encode(coding))
    assert [*told(f"list{suffix}")] == [os.path.normpath(line) for line in lines]


LABELS: dict[str, tuple[dict[str, Sequence[str]], list[str] | None, list[str]]] = {  # columns, labels, what is said
    "none": ({}, ["", "", ""], []),
    "about the images, no labels": ({"camera": "aab", "site": "xyy"}, ["", "", ""], []),
    "one usual name": ({"label": CLASSES, "site": "xxy"}, CLASSES, ["'label'"]),
    "other name among others": ({"camera": "aab", "kind": CLASSES, "site": "xyy"}, CLASSES, ["'kind'"]),
    "one a class": ({"cat": "100", "dog": "010", "emu": "001", "site": "xyy"}, CLASSES, ["one a class"]),
    "some are no classes": ({"kind": ["cat", "ox", "emu"]}, ["cat", "", "emu"], ["'kind'", "'ox' (1 image)"]),
    "none is a class": ({"label": ["ox", "hen", "ox"]}, ["", "", ""], ["'hen', 'ox' (3 images)"]),
    "numbers": ({"label": "210"}, ["emu", "dog", "cat"], ["0 is cat, 1 is dog, 2 is emu"]),
    "numbers that are none": ({"label": ["7", "8", "7"]}, ["", "", ""], ["'7', '8' (3 images)"]),
    "two that could be": ({"first": CLASSES, "second": CLASSES}, None, ["which of the columns .*data.label="]),
}


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("word", ["t.csv", "csv:t.csv", "t.jsonl"])
def test_labels_of_a_table_are_the_classes_and_what_was_taken_is_said(
    case: str, word: str, photos: list[str], finished: Finished
) -> None:
    columns, labels, words = LABELS[case]
    frame = pd.DataFrame({"path": photos[::2], **{name: [*cells] for name, cells in columns.items()}})
    frame.to_csv("t.csv", index=False)
    frame.to_json("t.jsonl", orient="records", lines=True)
    said: list[str] = []
    if labels is None:
        with pytest.raises(UserError, match=words[0]):
            told(word)
        return
    assert told(word, said) == dict(zip(photos[::2], labels, strict=True))
    assert len(said) == len(words)
    assert all(word in " ".join(said) for word in words)


def test_parts_of_a_table_mean_nothing_for_predictions(photos: list[str]) -> None:
    for parts in (["test"] * 6, ["holdout"] * 6, ["train", "test"] * 3):
        pd.DataFrame({"path": photos, "label": [*"aabbcc"], "split": parts}).to_csv("t.csv", index=False)
        assert [*told("csv:t.csv")] == photos


def test_keys_name_columns_of_a_list_and_are_refused_where_nothing_has_a_use_for_them(
    photos: list[str], finished: Finished
) -> None:
    pd.DataFrame({"path": photos, "one": ["1"] * 6, "two": ["2"] * 6}).to_csv("t.csv", index=False)
    for name, label in (("one", "1"), ("two", "2")):
        done = sslkit("predict", finished.folder, "t.csv", "--set", f"data.label={name}", "--out", f"{name}.csv")
        assert done.code == 0, done.err
        assert f"labels are the column '{name}'" in done.err
        assert {row["label"] for row in read(f"{name}.csv")} == {label}
    for words in (["d"], ["--test"], [photos[0]]):
        refused = sslkit("predict", finished.folder, *words, "--set", "data.label=one", "--out", "x.csv")
        assert_refused(refused, "data.label", "drop")
    assert_refused(sslkit("predict", finished.folder, ""), "empty")


def read(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def test_what_is_left_out_is_said(photos: list[str], finished: Finished) -> None:
    Path("d/notes.txt").write_text("no image")
    Path("d/more.zip").write_bytes(b"PK")
    Path("none").mkdir()
    done = sslkit("predict", finished.folder, "d", "none", "--json")
    assert done.code == 0, done.err
    assert done.json["remarks"] == ["d: left out 1 .txt, 1 .zip; unpack .zip", "no image in none"]
    assert "left out 1 .txt, 1 .zip" in done.err


def test_a_parquet_file_or_folder_needs_no_word_before_it(photos: list[str]) -> None:
    images = [{"bytes": Path(name).read_bytes(), "path": None} for name in photos]
    frame = pd.DataFrame({"image": images, "label": [name.split("/")[1] for name in photos]})
    Path("p").mkdir()
    frame[2:].to_parquet("p/test-0.parquet")
    with pytest.raises(UserError, match=r"no train.*; parquet:p/test-0\.parquet takes that file"):
        told("parquet:p")
    assert [*told("p/test-0.parquet").values()] == ["dog", "dog", "emu", "emu"]
    frame.to_parquet("p/train-0.parquet")
    said: list[str] = []
    assert [*told("p", said).values()] == [name.split("/")[1] for name in (*photos, *photos[2:])]
    assert any("labels are the column 'label'" in remark for remark in said)


@pytest.mark.parametrize("seed", range(8))
def test_no_two_columns_are_called_alike(seed: int) -> None:
    draw = random.Random(seed)
    names = ["file", "label", "class", "confidence", "status", "class_2", "confidence_2", "cat", "p(class)"]
    classes = draw.sample(names, draw.randint(2, 6))
    form = Form(all_classes=True, top=draw.randint(1, 2))
    p = torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(len(classes)), 1)).float()
    header, row, _ = prediction._rows([Input("a", "a", 0), Input("b", "b")], p, {1: "bad"}, classes, form)
    assert len({*header}) == len(header) == len(row)
    for name, column, share in zip(classes, form.shares(classes), p[0].tolist(), strict=True):
        assert column in (name, f"p({name})")
        assert float(row[header.index(column)]) == pytest.approx(share, abs=1e-4)


def test_an_output_that_is_no_csv_file_is_refused(photos: list[str], finished: Finished) -> None:
    for out in ("x.json", "x.xlsx", "x", "-", "x.csv.gz"):
        assert_refused(sslkit("predict", finished.folder, "d", "--out", out), out, ".csv")


def test_how_many_are_unknown_is_said_beside_the_accuracy(finished: Finished) -> None:
    done = sslkit("predict", finished.folder, "--test", "--unknown-below", 0.15)
    unknown = sum(row["class"] == "unknown" for row in read("predictions.csv"))
    assert 0 < unknown < 797
    assert f"{unknown} are unknown, below 0.15; 797 have a label, accuracy of the most probable class" in done.out


def test_images_that_are_dark_for_their_depth_are_said_and_white_can_be_set(finished: Finished) -> None:
    """The same images with 12 bits in 16, and with 8."""
    draw = np.random.default_rng(0)
    Path("deep").mkdir()
    Path("plain").mkdir()
    for i in range(6):
        image = draw.integers(0, 256, (8, 8), np.uint8)
        image[0, 0] = 255
        Image.fromarray(image).save(f"plain/{i}.png")
        tifffile.imwrite(f"deep/{i}.tif", image.astype(np.uint16) * 16)
    plain = sslkit("predict", finished.folder, "plain", "--all", "--out", "plain.csv", "--json")
    assert "remarks" not in plain.json
    deep = sslkit("predict", finished.folder, "deep", "--all", "--out", "deep.csv", "--json")
    assert deep.code == 0, deep.err
    assert "to 4080, and white is 65535: they are dark; --set data.white=4080" in deep.err
    bright = sslkit("predict", finished.folder, "deep", "--all", "--out", "b.csv", "--set", "data.white=4080", "--json")
    assert bright.code == 0, bright.err
    shares = [[row[str(c)] for c in range(10) for row in read(file)] for file in ("plain.csv", "b.csv", "deep.csv")]
    assert shares[0] == shares[1] != shares[2]
    assert_refused(
        sslkit("predict", finished.folder, "plain", "--out", "x.csv", "--set", "data.white=9"), "data.white=9"
    )
    assert_refused(sslkit("predict", finished.folder, "deep", "--out", "x.csv", "--set", "data.white=a"), "data.white")
