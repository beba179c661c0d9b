"""Makes fixtures/datumaro/ by Datumaro's exporters, in each of its formats that can hold classes of images.

    pip install datumaro==1.13.12
    python -m tests.labelling.make_datumaro

CVAT's server exports its "ImageNet 1.0" and "Datumaro 1.0" by this package. Pictures are kept in `imagenet` and
`imagenet_with_subset_dirs` alone, where their folders are the labels.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.labelling.images import BOXED, CLASSES, classes_of, make

OUT = Path(__file__).parent / "fixtures" / "datumaro"
FORMATS = ("cvat", "datumaro", "coco_labels", "imagenet", "imagenet_with_subset_dirs", "imagenet_txt")
FOLDERS = ("imagenet", "imagenet_with_subset_dirs")
TEST = "b/drei-ä+x.png"  # the only one of the part `test`


def main() -> None:
    import datumaro as dm

    shutil.rmtree(OUT, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        items = [_item(dm, Path(folder), name, i) for i, name in enumerate(make(Path(folder)))]
        for form in FORMATS:
            made = dm.Dataset.from_iterable(items, categories=CLASSES)
            made.export(str(OUT / form), form, save_media=form in FOLDERS)


def _item(dm: Any, folder: Path, name: str, number: int) -> Any:
    given = [dm.Label(CLASSES.index(label)) for label in classes_of(name)]
    given += [dm.Bbox(1, 1, 4, 4, label=0)] if name == BOXED else []
    subset = "test" if name == TEST else "train"
    media = dm.Image.from_file(path=str(folder / name))
    frame = {"frame": number}  # which the format cvat needs
    return dm.DatasetItem(name.removesuffix(".png"), subset=subset, media=media, annotations=given, attributes=frame)


if __name__ == "__main__":
    main()
