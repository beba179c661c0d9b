"""Tiny copies of data sets in their layout on disk, and short ways to read them."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
from PIL import Image

from sslkit import registry
from sslkit.data import Images, Raw
from sslkit.data.decoding import decode
from sslkit.data.image import Array

Part = dict[str, np.ndarray[Any, Any]]  # "pixels" (N, 3, S, S) uint8, "label" (N,)


def read(dataset: str, /, **options: Any) -> tuple[list[str], Raw, Raw]:
    found: tuple[list[str], Raw, Raw] = registry.load("dataset", dataset)(**options).read()
    return found


def decoded(dataset: str, size: int, /, **options: Any) -> Images:
    return decode(*read(dataset, **options), size)


def held(images: Images) -> Array:
    """(N, 3, S, S) uint8 pixels, which are held in memory."""
    assert isinstance(images.pixels, np.ndarray)
    return images.pixels


def picture(file: Path, shade: int, size: int = 8) -> Path:
    """An image file of one colour; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (shade, 0, 255 - shade)).save(file)
    return file


def pictures(root: Path, files: Sequence[str]) -> None:
    for i, file in enumerate(files):
        picture(root / file, 5 * i)


def own(root: Path, train: int = 6) -> None:
    """A folder as `folder:DIR` wants it, with classes cat and dog, and three images without a label."""
    for name in ("cat", "dog"):
        pictures(root, [f"train/{name}/{name}{i}.png" for i in range(train)])
        pictures(root, [f"test/{name}/t_{name}{i}.png" for i in range(2)])
    pictures(root, [f"unlabeled/x{i}.png" for i in range(3)])


def noise(count: int, size: int, classes: int, seed: int) -> Part:
    draw = np.random.default_rng(seed)
    label = np.concatenate([np.arange(classes), draw.integers(0, classes, max(0, count - classes))])[:count]
    return {"pixels": draw.integers(0, 256, (count, 3, size, size), dtype=np.uint8), "label": label}


def cifar(root: Path, parts: Mapping[str, Part], meta: tuple[str, str], key: str, classes: Sequence[str]) -> None:
    """CIFAR's Python version: a pickle for each part, rows of 3,072 bytes, red first, and one of the names."""
    root.mkdir(parents=True)
    for name, part in parts.items():
        batch = {"data": part["pixels"].reshape(-1, 3072), key: part["label"].tolist(), "batch_label": name}
        (root / name).write_bytes(pickle.dumps(batch, protocol=2))
    (root / meta[0]).write_bytes(pickle.dumps({meta[1]: list(classes)}, protocol=2))


def svhn(root: Path, parts: Mapping[str, Part]) -> None:
    """X is (32, 32, 3, N), and the digit 0 is written 10."""
    for name, part in parts.items():
        label = np.where(part["label"] == 0, 10, part["label"]).astype(np.uint8)[:, None]
        scipy.io.savemat(root / f"{name}_32x32.mat", {"X": part["pixels"].transpose(2, 3, 1, 0), "y": label})


def stl10(root: Path, parts: Mapping[str, Part], classes: Sequence[str]) -> None:
    """Bytes column by column, labels from 1."""
    root.mkdir()
    for name, part in parts.items():
        part["pixels"].transpose(0, 1, 3, 2).tofile(root / f"{name}_X.bin")
        if name != "unlabeled":
            (part["label"] + 1).astype(np.uint8).tofile(root / f"{name}_y.bin")
    (root / "class_names.txt").write_text("\n".join(classes) + "\n")


def food101(root: Path, parts: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
    """Images of both parts in one folder; meta says which is in which."""
    (root / "meta").mkdir(parents=True)
    for part, files in parts.items():
        named = {name: [f"{name}/{file}" for file in inside] for name, inside in files.items()}
        (root / "meta" / f"{part}.json").write_text(json.dumps(named))
        pictures(root / "images", [f"{file}.jpg" for inside in named.values() for file in inside])


def md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest()
