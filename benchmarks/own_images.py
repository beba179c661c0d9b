"""A folder as people have them, made of CIFAR-10: 3,000 pictures, 20 labelled a class, and all that goes wrong.

    python -m benchmarks.own_images --data parquet:cifar10 --out photos

Makes `photos/` (class folders in Train and Test, and `unlabelled`) and `photos.json`, which lists what was planted:
damaged files, byte-equal and near duplicates across the parts, and wrong labels.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from sslkit import registry
from sslkit.config.resolve import argument
from sslkit.data import Raw
from sslkit.data.image import read_rgb

LABELED, TEST, ALL = 20, 50, 3000  # of each class, of each class, in all
SIDES = (64, 160)  # pixels, about
NAMES = {"ship": "bateau à voile"}  # a space and an accent
DAMAGED, EQUAL, NEAR, WRONG_TRAIN, WRONG_TEST = 6, 12, 12, 12, 18


@click.command()
@click.option("--data", required=True, help="CIFAR-10, as parquet:DIR.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--seed", default=0, show_default=True)
def main(data: str, out: Path, seed: int) -> None:
    """Make the folder and the list of what was planted."""
    cls = registry.load("dataset", data)
    classes, train, _ = cls(**argument("dataset", data, cls)).read()
    draw = np.random.default_rng(seed)
    names = [NAMES.get(name, name) for name in classes]
    out.mkdir(parents=True)
    parts = _parts(train.label, draw)
    labels, wrong = _labels(train.label, parts, draw)
    files = {
        i: _write(train, i, _place(part, names, labels, i), out, draw) for part, some in parts.items() for i in some
    }
    planted: dict[str, Any] = {
        "wrong": {files[i]: {"given": names[labels[i]], "true": names[train.label[i]]} for i in wrong},
        **_duplicates(out, [files[i] for i in parts["unlabelled"]], [files[i] for i in parts["Test"]], draw),
    }
    planted["damaged"] = _damage(out, [files[i] for i in parts["unlabelled"][-DAMAGED:]])
    upper = files[parts["unlabelled"][0]]
    (out / upper).rename((out / upper).with_suffix(".JPG"))
    (out / "notes.txt").write_text("no picture\n", "utf-8")
    out.with_suffix(".json").write_text(json.dumps(planted, indent=1, ensure_ascii=False) + "\n", "utf-8")
    click.echo(f"{ALL} pictures in {out}, {out.with_suffix('.json')} says what is wrong")


def _parts(label: Any, draw: np.random.Generator) -> dict[str, list[int]]:
    orders = [draw.permutation(np.flatnonzero(label == c)) for c in range(10)]
    labeled = [int(i) for order in orders for i in order[:LABELED]]
    test = [int(i) for order in orders for i in order[LABELED : LABELED + TEST]]
    rest = np.concatenate([order[LABELED + TEST :] for order in orders])
    copies = EQUAL + NEAR  # files that stand there twice
    pool = draw.choice(rest, ALL - len(labeled) - len(test) - copies, replace=False)
    return {"Train": labeled, "Test": test, "unlabelled": [int(i) for i in pool]}


def _labels(label: Any, parts: dict[str, list[int]], draw: np.random.Generator) -> tuple[dict[int, int], list[int]]:
    """The label that each image is filed under, and the images with a wrong one."""
    wrong = [
        int(i)
        for part, count in (("Train", WRONG_TRAIN), ("Test", WRONG_TEST))
        for i in draw.choice(parts[part], count, replace=False)
    ]
    filed = {i: int(label[i]) for some in parts.values() for i in some}
    for i in wrong:
        filed[i] = int((label[i] + draw.integers(1, 10)) % 10)
    return filed, wrong


def _place(part: str, names: list[str], labels: dict[int, int], i: int) -> str:
    return part if part == "unlabelled" else f"{part}/{names[labels[i]]}"


def _write(raw: Raw, i: int, folder: str, out: Path, draw: np.random.Generator) -> str:
    """The image in a size and shape of its own; its name below the folder."""
    image = read_rgb(raw.source(i), raw.name(i, "train"))
    width, height = (int(side) for side in draw.integers(*SIDES, 2))
    name = f"{folder}/{i:05d}.jpg"
    (out / folder).mkdir(parents=True, exist_ok=True)
    image.resize((width, height), Image.Resampling.BICUBIC).save(out / name, quality=90)
    return name


def _duplicates(out: Path, pool: list[str], test: list[str], draw: np.random.Generator) -> dict[str, list[list[str]]]:
    """Test images that are in the pool as well: the same bytes, and smaller and saved again."""
    chosen = [str(name) for name in draw.choice(test, EQUAL + NEAR, replace=False)]
    made: dict[str, list[list[str]]] = {"equal": [], "near": []}
    for k, name in enumerate(chosen):
        copy = f"unlabelled/copy_{k}.jpg"
        if k < EQUAL:
            shutil.copyfile(out / name, out / copy)
        else:
            with Image.open(out / name) as image:
                image.resize((image.width * 4 // 5, image.height * 4 // 5)).save(out / copy, quality=70)
        made["equal" if k < EQUAL else "near"].append([name, copy])
    return made


def _damage(out: Path, names: list[str]) -> list[str]:
    for k, name in enumerate(names):
        content = (out / name).read_bytes()
        (out / name).write_bytes(content[: len(content) // 2] if k % 2 else b"")
    return names


if __name__ == "__main__":
    main()
