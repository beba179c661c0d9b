"""Classes of which nobody labelled an image are named before anything is trained."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from sslkit.prepare import prepare


def remarks(**keys: object) -> list[str]:
    made = prepare({"backbone": "vit_micro", **{k.replace("__", "."): v for k, v in keys.items()}})
    return [remark for remark in made.remarks if "is labelled" in remark]


@pytest.mark.parametrize("seed", range(4))
def test_labels_that_a_file_gives_to_some_classes_only(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    images = prepare({"data": "digits", "backbone": "vit_micro"}).images
    shown = draw.sample(range(10), draw.randint(2, 9))
    places = [int(i) for c in shown for i in np.flatnonzero(images.label[: images.train] == c)[:2]]
    (tmp_path / "labels.csv").write_text("Index\n" + "".join(f"{i}\n" for i in places))
    (said,) = remarks(data__labels=f"index:{tmp_path}/labels.csv")
    lost = [repr(images.classes[c]) for c in range(10) if c not in shown]
    assert all(name in said for name in lost[:4])
    assert ("more" in said) == (len(lost) > 4)
    assert not any(repr(images.classes[c]) in said for c in shown)


def test_fewer_labels_than_classes() -> None:
    (said,) = remarks(data__labels="9")
    assert said.startswith("no image of class '")
    assert remarks(data__labels="10") == []
    assert remarks(data__labels="1/class") == []
