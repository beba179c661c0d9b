"""Layouts of images on a disk, drawn by a seed, with what each image is made beside them.

Every image file has a name of its own, `0007.png`. Files are empty: what is read is names and folders.
"""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field
from pathlib import Path

HELD = Path("elsewhere")  # a folder beside the data that links lead to
WORDS = {
    "train": ("train", "training", "Train", "TRAINING", "labeled"),
    "test": ("test", "Testing", "val", "valid", "Validation", "dev"),
    "heap": ("unlabeled", "Unlabelled", "unsupervised"),
}
SCHEMES = (
    "{}",
    "{}",
    "pets_{}",
    "seg-{}",
    "{}_v2",
    "{}2017",
    "{} set",
    "{}_images",
    "my_{}_data",
    "{}_final",
    "Pets {}",
)
CLASSES = (
    "cat",
    "dog",
    "sea",
    "glacier",
    "été",
    "小猫",
    "test",
    "valid",
    "dev",
    "train",
    "images",
    "a,b",
    "12",
    "no label",
)
HOLDERS = ("images", "data", "imgs", "JPEGImages")


@dataclass
class Drawn:
    """A folder of images, and what is right of it: file name -> class, or None where it has none."""

    root: Path
    train: dict[str, str | None] = field(default_factory=dict)
    test: dict[str, str | None] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)  # how it was drawn


class Draw:
    """One layout of parts: names x nesting x wrappers x tables x links."""

    def __init__(self, here: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.here, self.numbers = here, itertools.count()
        self.drawn = Drawn(here / "data")

    def files(self, folder: Path, number: int | None = None) -> list[str]:
        folder.mkdir(parents=True, exist_ok=True)
        names = [f"{next(self.numbers):04}.png" for _ in range(number or self.rng.randint(1, 3))]
        for name in names:
            (folder / name).touch()
        return names

    def around(self, name: str, *, flat: bool) -> Path:
        """The folder of a part with what may stand around its content."""
        inside = self.rng.choice(([], [], [name], ["images"], [name, "data"]))
        if flat:
            inside = self.rng.choice(([], [self.rng.choice(HOLDERS)]))
        self.drawn.told.append("/".join([name, *inside]))
        return Path(name, *inside)

    def classes(self) -> list[str]:
        names = self.rng.sample(CLASSES, self.rng.randint(2, 4))
        return names if {*names} - {"images", "train", "test"} else [*names, "cat"]

    def parts(self) -> Drawn:
        """A training part with class folders, a test part with all or some of them or with a table, a heap."""
        d, rng = self.drawn, self.rng
        top = d.root.joinpath(*rng.choice(([], [], ["download"], ["archive", "pets"], ["training data"], ["dev"])))
        scheme = rng.choice(SCHEMES)
        names = {part: scheme.format(rng.choice(words)) for part, words in WORDS.items()}
        classes = self.classes()
        train = top / self.around(names["train"], flat=False)
        for c in classes:
            d.train |= dict.fromkeys(self.files(train / c), c)
        if rng.random() < 0.3 and top.name != "training data":
            d.train |= dict.fromkeys(self.files(train), None)
        self.links(train, classes)
        how = rng.choice(("classes", "classes", "some", "table", "none"))
        d.told.append(how)
        if how in ("classes", "some"):
            test = top / self.around(names["test"], flat=False)
            for c in classes if how == "classes" else rng.sample(classes, len(classes) - 1):
                d.test |= dict.fromkeys(self.files(test / c), c)
        elif how == "table":
            self.table(top, names["test"], classes)
        if rng.random() < 0.4:
            d.train |= dict.fromkeys(self.files(top / names["heap"]), None)
        if rng.random() < 0.3:
            (top / "docs").mkdir(parents=True)
            (top / "docs/readme.md").touch()
        return d

    def table(self, top: Path, name: str, classes: list[str]) -> None:
        """Test images in one heap, with a table as people have them, that of tiny-imagenet among them."""
        d, rng = self.drawn, self.rng
        folder = self.around(name, flat=True)
        files = self.files(top / folder, 5)
        d.test |= {file: rng.choice([c for c in classes if "," not in c]) for file in files}
        rows = "".join(f"{file}\t{d.test[file]}\t0\t32\t44\t62\n" for file in files)
        where, rows = rng.choice(
            (
                (Path(name) / "val_annotations.txt", rows),
                (Path(f"{name}.csv"), "path;label\n" + "".join(f"{file};{d.test[file]}\n" for file in files)),
                (Path(f"{name}_labels.tsv"), "".join(f"{file}\t{d.test[file]}\n" for file in files)),
            )
        )
        (top / where).write_text(rows, "utf-8")

    def links(self, train: Path, classes: list[str]) -> None:
        """Some of: a class that lies elsewhere, two links to one folder, links that point at each other."""
        held, d = self.here / HELD, self.drawn
        kinds = self.rng.sample(("moved", "twice", "mutual", "alias"), self.rng.randint(0, 2))
        for kind in sorted(kinds, reverse=True):
            c, other = self.rng.sample(classes, 2)
            if kind == "moved" and not any(path.is_symlink() for path in (train / c).iterdir()):
                held.mkdir(exist_ok=True)
                (train / c).rename(held / c)
                (train / c).symlink_to(held / c)
            elif kind == "twice":
                d.train |= dict.fromkeys(self.files(held / "more"), c)
                for name in ("more a", "more b"):
                    (train / c / name).symlink_to(held / "more")
            elif kind == "mutual" and not any((train / x).is_symlink() for x in (c, other)):
                (train / c / "see").symlink_to(train / other)
                (train / other / "see").symlink_to(train / c)
            elif kind == "alias" and not (train / c).is_symlink():
                (train / f"{c} alias").symlink_to(train / c)
            d.told.append(kind)


def asked(here: Path, seed: int) -> tuple[Path, list[Drawn]]:
    """A folder that can be read in two ways, and what is right of it in each."""
    draw = Draw(here, seed)
    rng, root = draw.rng, draw.drawn.root
    whole, parts = Drawn(root), Drawn(root)
    classes = rng.sample(("cat", "dog", "sea", "été", "a,b", "12"), rng.randint(2, 3))
    if rng.random() < 0.5:  # a heap that is called as a test part
        name = rng.choice(("test", "Testing", "dev", "val", "valid", "test1", "test_images"))
        for c in [*classes, name]:
            files = draw.files(root / c)
            whole.train |= dict.fromkeys(files, c)
            (parts.test if c == name else parts.train).update(dict.fromkeys(files, None if c == name else c))
        return root, [whole, parts]
    for outer in rng.choice((("2023", "2024"), ("left", "right"), ("batch1", "batch2", "batch3"))):
        for c in classes:
            files = draw.files(root / outer / c)
            whole.train |= dict.fromkeys(files, outer)
            parts.train |= dict.fromkeys(files, c)
    return root, [whole, parts]


def flat(here: Path, seed: int) -> Drawn:
    """Classes that are called as parts are, alone or beside others."""
    draw = Draw(here, seed)
    rng, d = draw.rng, draw.drawn
    names = rng.choice(
        (
            rng.sample(("test", "valid", "dev", "val", "Testing"), rng.randint(2, 3)),
            ["train", *rng.sample(("car", "plane", "ship"), 2)],
            rng.sample(("bullet train", "freight_train", "bus", "test tube", "dev board", "no-entry", "steamTrain"), 3),
        )
    )
    for name in names:
        d.train |= dict.fromkeys(draw.files(d.root / name), name)
    return d
