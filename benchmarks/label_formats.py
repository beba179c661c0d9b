"""The table of docs/results/formats.md: files that labelling tools wrote, and files that they are given.

    python -m benchmarks.label_formats [--python PACKAGE=PYTHON]...

The files are those of tests/labelling/fixtures; images in them are counted here, by other code than that which reads
them. With an interpreter that has a tool's package (label-studio-sdk, datumaro, cvat-sdk), what sslkit writes for the
tool is checked by that package's own parser.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from sslkit.labelling import exported
from sslkit.labelling.proposals import Proposal, files_for
from tests.labelling.images import CLASSES, TRUTH, make

FIXTURES = Path("tests/labelling/fixtures")
TARS = """
## Tar files of image sets

Written by the package's own writer, in shards of ten, and read back by it and by `--data wds:FILES`; labels, order and
pixels are compared. [data.md](../data.md#tar-files-of-webdataset) says how they are read.

| package | version | shards | labels in | samples in | read by the package | images out | labelled |
|---|---|---:|---|---:|---:|---:|---:|
"""
HEAD = """\
# Formats of labelling tools

Made by `python -m benchmarks.label_formats`. All files but CVAT's example were written by the tool itself, by the
scripts `tests/labelling/make_*.py`, of one set of eight images: six with a class or none, one with two classes, one
with a box; names with folders, spaces, accents and signs. Datumaro's "ImageNet" is what CVAT's server exports under
that name. [labels.md](../labels.md) says how to use them.

## Read

Images are counted in the file by other code than that which reads it. *Labelled* is fewer where annotators disagree,
skipped or gave several classes; each such image is named when it is read.

| tool | version | file | `--format` | images in | rows out | labelled | left out or decided |
|---|---|---|---|---:|---:|---:|---|
"""
WRITTEN = """
## Written

Six images, with a suggested class and its confidence, by `sslkit audit RUN --to TOOL`.

| tool | file | read by | images out | found there |
|---|---|---|---:|---|
"""
SERVED = """
`sslkit audit` of a run on 60 photos wrote 29 tasks; the server of Label Studio 1.23.2 imported 29 with 29 predictions,
[opened by it](../label-studio.png). Two were labelled there; of its export `--onto` took 1 changed label and 1 new.
"""  # by hand, as tests/labelling/picture.py says


def tasks(file: Path) -> int:
    return len(json.loads(file.read_text("utf-8")))


def ids(file: Path) -> int:
    """Different tasks in a table of annotations."""
    text = file.read_text("utf-8")
    if file.suffix == ".json":
        return len({row["id"] for row in json.loads(text)})
    return len(
        {row["id"] for row in csv.DictReader(text.splitlines(), delimiter="\t" if file.suffix == ".tsv" else ",")}
    )


def found(pattern: str) -> Callable[[Path], int]:
    """How often a pattern stands in the text files of a folder, or in a file."""

    def count(place: Path) -> int:
        files = [place] if place.is_file() else [p for p in place.rglob("*") if p.suffix in (".xml", ".json", ".txt")]
        texts = [file.read_text("utf-8") for file in files if file.name != "synsets.txt"]
        return sum(len(re.findall(pattern, text, re.MULTILINE)) for text in texts)

    return count


def pictures(folder: Path) -> int:
    return len([*folder.rglob("*.png")])


def keys(folder: Path) -> int:
    return len(json.loads((folder / "labels.json").read_text("utf-8"))["labels"])


LABEL_STUDIO, DATUMARO, FIFTYONE = ("Label Studio", "1.23.2"), ("Datumaro", "1.13.12"), ("FiftyOne", "1.22.1")
READ: list[tuple[tuple[str, str], str, Callable[[Path], int]]] = [
    (LABEL_STUDIO, "label_studio/local/export.json", tasks),
    (LABEL_STUDIO, "label_studio/local/export-min.json", ids),
    (LABEL_STUDIO, "label_studio/local/export.csv", ids),
    (LABEL_STUDIO, "label_studio/upload/export.json", tasks),
    (LABEL_STUDIO, "label_studio/upload/export.tsv", ids),
    (("CVAT", "documentation, example"), "cvat/annotations.xml", found("<image ")),
    (DATUMARO, "datumaro/cvat", found("<image ")),
    (DATUMARO, "datumaro/datumaro", found('"image":')),
    (DATUMARO, "datumaro/coco_labels", found('"file_name":')),
    (DATUMARO, "datumaro/imagenet", pictures),
    (DATUMARO, "datumaro/imagenet_with_subset_dirs", pictures),
    (DATUMARO, "datumaro/imagenet_txt", found(r"^.*\S.*$")),
    (FIFTYONE, "fiftyone/names", keys),
    (FIFTYONE, "fiftyone/numbers", keys),
    (FIFTYONE, "fiftyone/confidence", keys),
    (FIFTYONE, "fiftyone/tree", pictures),
]
# by a tool's package, of the folder `sys.argv[1]`: prints what it finds
CHECKS = {
    "label-studio-sdk": """
from label_studio_sdk.label_interface import LabelInterface
interface = LabelInterface(open("label-studio.xml", encoding="utf-8").read())
interface.validate()
tasks = json.load(open("label-studio.json", encoding="utf-8"))
wrong = [w for t in tasks for p in t["predictions"] for w in interface.validate_prediction(p, return_errors=True)]
print(f"{len(tasks)} tasks, {len(wrong)} errors in their predictions; the interface is valid")
""",
    "datumaro": """
import datumaro as dm
items = list(dm.Dataset.import_from(".", "cvat"))
sure = sum("confidence" in one.annotations[0].attributes for one in items)
print(f"{len(items)} images, {sum(len(one.annotations) for one in items)} tags, {sure} with a confidence")
""",
    "cvat-sdk": """
from cvat_sdk.api_client.models import PatchedLabelRequest
given = json.load(open("cvat-labels.json", encoding="utf-8"))
labels = [PatchedLabelRequest._from_openapi_data(**one) for one in given]
print(f"{len(labels)} labels of type {labels[0].type}, with the attribute {labels[0].attributes[0].name}")
""",
}
CHECKED = {"label-studio-sdk": "label-studio", "datumaro": "cvat", "cvat-sdk": "cvat"}
FILES = {
    "label-studio-sdk": "label-studio.json, label-studio.xml",
    "datumaro": "cvat.xml",
    "cvat-sdk": "cvat-labels.json",
}


def read_row(tool: tuple[str, str], place: str, count: Callable[[Path], int]) -> str:
    export = exported(FIXTURES / place)
    assert export is not None, place
    settled, images = export.settled(), count(FIXTURES / place)
    assert images == len(settled.paths), (place, images, len(settled.paths))
    lost = "; ".join(f"{reason}: {len(names)}" for reason, names in settled.reasons.items())
    cells = [*tool, f"`{place}`", export.form, images, len(settled.paths), settled.labelled, lost]
    return f"| {' | '.join(map(str, cells))} |"


def tar_row(count: int, label: str) -> str:
    """Images of noise in tar files, of which every fifth has no label."""
    import webdataset as wds

    from sslkit import registry
    from sslkit.data.image import Square, to_pixels

    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), np.uint8)
    numbers = [-1 if i % 5 == 4 else i % 7 for i in range(count)]
    with tempfile.TemporaryDirectory() as folder:
        with wds.ShardWriter(f"{folder}/%03d.tar", maxcount=10, verbose=0) as sink:
            for i, number in enumerate(numbers):
                about = {"cls": number} if label == ".cls" else {"json": {"label": number}}
                sink.write({"__key__": f"{i:05d}", "png": pixels[i], **(about if number >= 0 else {})})
        shards = sorted(Path(folder).glob("*.tar"))
        keys = [one["__key__"] for one in wds.WebDataset([*map(str, shards)], shardshuffle=False)]
        classes, train, _ = registry.load("dataset", "wds")(files=f"{folder}/{{000..{len(shards) - 1:03d}}}.tar").read()
        own = [Path(name).name.removesuffix(".png") for name in train.names]
        assert own == keys, (own, keys)
        assert [int(classes[c]) if c >= 0 else -1 for c in train.label] == numbers
        for i, image in enumerate(pixels):
            assert (to_pixels(train.source(i), Square(8), own[i]) == image.transpose(2, 0, 1)).all()
        cells = [len(shards), label, count, len(keys), len(own), int((train.label >= 0).sum())]
    return f"| webdataset | {version('webdataset')} | {' | '.join(map(str, cells))} |"


def written_row(package: str, python: str, folder: Path, images: int) -> str:
    head = "import json, sys\nfrom importlib.metadata import version\n"
    code = f"{head}print(version({package!r}))\n{CHECKS[package]}"
    done = subprocess.run([python, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    version, said = done.stdout.strip().splitlines()
    tool = {"label-studio": "Label Studio", "cvat": "CVAT"}[CHECKED[package]]
    return f"| {tool} | {FILES[package]} | {package} {version} | {images} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", action="append", default=[], metavar="PACKAGE=PYTHON")
    pythons: dict[str, Any] = dict(word.split("=", 1) for word in parser.parse_args().python)
    print(HEAD + "\n".join(read_row(*one) for one in READ))
    print(TARS + "\n".join(tar_row(53, label) for label in (".cls", ".json")))
    rows = []
    for package, python in pythons.items():
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder) / "images")
            told = [Proposal(name, label or "", "dog", 0.75, 0.5) for name, label in TRUTH.items()]
            for name, text in files_for(CHECKED[package], told, CLASSES, None, "a run").items():
                (Path(folder) / name).write_text(text, "utf-8")
            rows.append(written_row(package, python, Path(folder), len(told)))
    print(
        WRITTEN + "\n".join(rows) if rows else "\nWhat is written was not checked here: no package of a tool was named."
    )
    print(SERVED, end="")


if __name__ == "__main__":
    main()
