"""Tar files of WebDataset: counts in are counts out, labels and pixels are right, and what is wrong is one line."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset as wds
from braceexpand import braceexpand
from PIL import Image

from sslkit.datasets._shards import expanded
from sslkit.errors import UserError
from sslkit.prepare import prepare
from tests.cli.call import assert_refused, sslkit
from tests.datasets.make import decoded, held, read
from tests.store.servers import Flaky, send, server

__all__ = ["server"]
File = tuple[str, bytes]


def png(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def tar(path: Path, files: Sequence[File], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, data in files:
            one = tarfile.TarInfo(name)
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
    return path


def sample(i: int, **more: bytes) -> list[File]:
    return [(f"s{i:03d}.png", png(i)), *((f"s{i:03d}.{suffix}", data) for suffix, data in more.items())]


def labelled(path: Path, numbers: Sequence[int]) -> Path:
    """Samples whose label is the rest of their number by three."""
    return tar(path, [file for i in numbers for file in sample(i, cls=str(i % 3).encode())])


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_labels_and_pixels(form: int, tmp_path: Path, server: Any) -> None:
    deep = f"{'long/' * 30}é"  # longer than a header of tar has room for
    files = [*sample(7, cls=b" 1\n"), *sample(9, json=b'{"Label": "2", "x": [1]}'), *sample(11, txt=b"a photo")]
    if form != tarfile.USTAR_FORMAT:
        files += [(f"{deep}.PNG", png(13)), (f"{deep}.cls", b"0")]
    tar(tmp_path / "a.tar", files, form)
    send(tmp_path, server, "b")
    for name in (str(tmp_path / "a.tar"), "flaky://b/a.tar"):
        classes, train, test = read("wds", files=name)
        assert classes == (["1", "2"] if form == tarfile.USTAR_FORMAT else ["0", "1", "2"])
        shades = [int(held(decoded("wds", 8, files=name))[i, 0, 0, 0]) for i in range(len(train.images))]
        assert shades == [7, 9, 11, 13][: len(shades)]
        assert [classes[c] if c >= 0 else None for c in train.label] == ["1", "2", None, "0"][: len(shades)]
        assert train.names[0] == "a.tar/s007.png"
        assert not len(test.images)


def test_parts_by_name_and_order_of_numbers(tmp_path: Path) -> None:
    labelled(tmp_path / "imagenet-train-0.tar", range(12))
    labelled(tmp_path / "imagenet-train-1.tar", range(12, 30))
    labelled(tmp_path / "imagenet-validation-0.tar", range(50, 56))
    for name in (str(tmp_path), str(tmp_path / "imagenet-{train-{0..1},validation-0}.tar")):
        classes, train, test = read("wds", files=name)
        assert classes == ["0", "1", "2"]
        assert train.label.tolist() == [i % 3 for i in range(30)]
        assert test.label.tolist() == [i % 3 for i in range(50, 56)]


def test_files_of_a_sample_that_stand_apart_are_put_together_and_said(tmp_path: Path) -> None:
    files = [*sample(1), *sample(2, cls=b"0"), ("s001.cls", b"1")]
    tar(tmp_path / "a.tar", files)
    found = prepare({"data.name": f"wds:{tmp_path / 'a.tar'}", "data.test": "none", "data.labels": "all"})
    assert found.images.label.tolist() == [1, 0]
    assert any("files of 1 samples do not stand one behind the other: s001" in remark for remark in found.remarks)


def test_what_is_no_sample_is_counted(tmp_path: Path) -> None:
    files = [
        *sample(1, cls=b"1", bin=b"x"),
        *sample(2, cls=b"0"),
        ("README", b"x"),
        ("._s003.png", b"x"),
        ("t.txt", b"x"),
    ]
    tar(tmp_path / "a.tar", [*files, ("__MACOSX/s004.png", b"x"), ("./d/s005.png", png(5))])
    found = prepare({"data.name": f"wds:{tmp_path / 'a.tar'}", "data.test": "none", "data.labels": "all"})
    assert [*found.images.names] == ["a.tar/s001.png", "a.tar/s002.png", "a.tar/d/s005.png"]
    said = " ".join(found.remarks)
    assert "left out of the tar files: 1 .bin, 1 without a suffix" in said
    assert "samples without an image are left out: 1, as t" in said


def test_which_image_and_which_label_are_said(tmp_path: Path) -> None:
    about = json.dumps({"label": 1, "species": "newt"}).encode()
    tar(tmp_path / "a.tar", [("a.left.png", png(1)), ("a.right.png", png(2)), ("a.json", about), ("a.txt", b"frog")])
    with pytest.raises(UserError, match=r"several images, left\.png, right\.png; --set data\.image=left\.png"):
        read("wds", files=str(tmp_path / "a.tar"))
    for label, word in (("", "1"), ("species", "newt"), ("txt", "frog")):
        classes, train, _ = read("wds", files=str(tmp_path / "a.tar"), image="right.png", label=label)
        assert classes == [word]
        assert [*train.names] == ["a.tar/a.right.png"]


def test_the_index_is_kept_and_made_anew_for_a_changed_file(tmp_path: Path, server: Any) -> None:
    labelled(tmp_path / "a.tar", range(20))
    send(tmp_path, server, "b")
    request = {"data.name": "wds:flaky://b/a.tar", "data.size": 8, "data.labels": "2/class"}
    first = prepare(request, tmp_path / "cache")
    Flaky.requests.clear()
    again = prepare(request, tmp_path / "cache")
    assert again.images.fingerprint == first.images.fingerprint
    assert {kind for kind, _ in Flaky.requests} == {"ls"}, "no byte of the tar file is asked for"
    assert prepare({**request, "data.name": f"wds:{tmp_path / 'a.tar'}"}).images.fingerprint == first.images.fingerprint
    labelled(tmp_path / "a.tar", range(30))
    send(tmp_path, server, "b")
    assert len(prepare(request, tmp_path / "cache").images.names) == 30


def test_decoded_for_every_batch(tmp_path: Path, server: Any) -> None:
    labelled(tmp_path / "a.tar", range(20))
    send(tmp_path, server, "b")
    for name in (str(tmp_path / "a.tar"), "flaky://b/a.tar"):
        request = {"data.name": f"wds:{name}", "data.size": 8, "data.test": "none", "data.labels": "all"}
        held_ones, streamed = prepare(request).images, prepare({**request, "data.cache_gb": 1e-9}).images
        every = np.arange(20)
        np.testing.assert_array_equal(held_ones.subset(every)[:], streamed.subset(every)[:])


def broken(tmp_path: Path) -> dict[str, Path]:
    whole = labelled(tmp_path / "w.tar", range(6)).read_bytes()
    with tarfile.open(tmp_path / "w.tar") as archive:
        third = archive.getmembers()[4]
    cut = {"data": third.offset_data + 5, "header": third.offset + 100, "between": third.offset, "empty": 0}
    files = {
        name: tmp_path / f"{name}.tar" for name in (*cut, "header_damaged", "text", "packed", "twice", "bare", "json")
    }
    for name, end in cut.items():
        files[name].write_bytes(whole[:end])
    damaged = bytearray(whole)
    damaged[third.offset + 150] ^= 0xFF
    files["header_damaged"].write_bytes(damaged)
    files["text"].write_text("no tar " * 500)
    files["packed"].write_bytes(gzip.compress(whole))
    tar(files["twice"], [*sample(1, cls=b"0"), *sample(1)])
    tar(files["bare"], [("a.cls", b"0"), ("b.bin", b"")])
    tar(files["json"], [*sample(1, json=b"{")])
    return files


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("data", "data.tar is no tar file, or is cut off or damaged: ReadError: unexpected end of data"),
        ("header", "is cut off or damaged"),
        ("between", "between.tar is no tar file, or is cut off or damaged: ReadError: there is no end behind s001.cls"),
        ("header_damaged", "there is no end behind s001.cls"),
        ("empty", "is cut off or damaged: ReadError: empty"),
        ("text", "is no tar file"),
        ("packed", "is packed by gzip, in which no image can be gone to; unpack it to a plain .tar"),
        ("twice", "holds s001.png twice"),
        ("bare", "hold no image with a key, as 000001.jpg: 1 .bin"),
        ("json", "s001.json is no JSON"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_a_broken_tar_file_is_one_line(name: str, words: str, there: bool, tmp_path: Path, server: Any) -> None:
    file = str(broken(tmp_path)[name])
    if there:
        send(tmp_path, server, "b")
        file = f"flaky://b/{name}.tar"
    assert_refused(sslkit("run", "--data", f"wds:{file}"), words)


@pytest.mark.parametrize("top", ["here", "there"])
def test_shards_that_are_missing_are_named(top: str, tmp_path: Path, server: Any) -> None:
    labelled(tmp_path / "000.tar", range(6))
    labelled(tmp_path / "002.tar", range(6))
    send(tmp_path, server, "b")
    folder = str(tmp_path) if top == "here" else "flaky://b"
    found = sslkit("run", "--data", f"wds:{folder}/{{000..003}}.tar")
    assert_refused(found, f"2 of 4 tar files are not there: {folder}/001.tar, {folder}/003.tar")
    (tmp_path / "empty").mkdir()
    assert_refused(sslkit("run", "--data", f"wds:{tmp_path}/empty"), "holds no *.tar")


def test_braces_that_the_shell_took_are_said() -> None:
    assert_refused(sslkit("run", "--data", "wds:x/000.tar", "wds:x/001.tar"), "put wds:… in quotes")


def test_the_report_knows_a_tar_file(tmp_path: Path) -> None:
    labelled(tmp_path / "000.tar", range(12))
    found = sslkit("data", str(tmp_path / "000.tar"), "--json").json
    assert found["data"] == f"wds:{tmp_path}/000.tar"
    assert [one["name"] if isinstance(one, dict) else one for one in found["classes"]][:3] == ["0", "1", "2"]


BRACES = {
    "a.tar": ["a.tar"],
    "{000..002}.tar": ["000.tar", "001.tar", "002.tar"],
    "{8..11}": ["8", "9", "10", "11"],
    "{08..11}": ["08", "09", "10", "11"],
    "{0..8..4}": ["0", "4", "8"],
    "{a,b}-{0..1}": ["a-0", "a-1", "b-0", "b-1"],
    "x{a,{0..1}b}y": ["xay", "x0by", "x1by"],
    "{one}": ["{one}"],
    "{": ["{"],
}


def test_braces_are_those_of_a_shell() -> None:
    for text, names in BRACES.items():
        assert expanded(text) == names
    with pytest.raises(UserError, match="counts nothing"):
        expanded("{3..1}")


def test_braces_are_those_of_webdataset() -> None:
    for text, names in BRACES.items():
        if text != "{":  # which that package takes for a mistake
            assert [*braceexpand(text)] == names


def test_what_webdataset_wrote_and_reads_is_what_is_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (23, 8, 8, 3), np.uint8)
    with wds.ShardWriter(str(tmp_path / "train-%06d.tar"), maxcount=10, verbose=0) as sink:
        for i in range(20):
            sink.write({"__key__": f"d/{i:05d}", "png": pixels[i], "cls": i % 7, "json": {"label": "another"}})
    with wds.TarWriter(str(tmp_path / "test-000000.tar")) as sink:
        for i in range(20, 23):
            sink.write({"__key__": f"{i:05d}", "png": pixels[i], "json": {"label": i % 7}})
    name = str(tmp_path / "{train-{000000..000001},test-000000}.tar")
    classes, train, test = read("wds", files=name)
    assert classes == [*map(str, range(7))]
    assert [*train.label, *test.label] == [i % 7 for i in range(23)]
    np.testing.assert_array_equal(held(decoded("wds", 8, files=name)), pixels.transpose(0, 3, 1, 2))
    theirs = wds.WebDataset(str(tmp_path / "train-{000000..000001}.tar"), shardshuffle=False, empty_check=False)
    keys = [one["__key__"] for one in theirs]
    assert [name.partition("/")[2].removesuffix(".png") for name in train.names] == keys
