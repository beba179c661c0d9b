"""Which tools open a map's parquet file, each by its own reader or by the code of docs/map.md.

python -m benchmarks.map_tools map.parquet

It prints a row for each tool that this Python has, and needs no sslkit: the tools want environments of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "map.md"
LAST = ("ls.start_gui()", "fo.launch_app(")  # what waits for a person


def blocks() -> dict[str, str]:
    """The page's Python, by the tool that it is of."""
    found = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    names = {"fiftyone": "import fiftyone", "lightly_studio": "import lightly_studio", "unpacked": "import pyarrow"}
    return {name: next(code for code in found if word in code) for name, word in names.items()}


def executed(*code: str) -> dict[str, Any]:
    """What blocks of the page, one after the other, leave; without their last line, which opens a window."""
    space: dict[str, Any] = {}
    for block in code:
        exec(block.partition(next((last for last in LAST if last in block), "\0"))[0], space)
    return space


def pandas() -> str:
    import pandas as pd

    frame = pd.read_parquet("map.parquet")
    return f"{len(frame)} rows; columns {', '.join(frame.columns)}"


def datasets() -> str:
    import datasets as hf

    found = hf.load_dataset("parquet", data_files="map.parquet", split="train", cache_dir="cache")
    row = found[0]
    return f"{len(found)} rows; `image` is a {type(row['image']).__name__} of {row['image'].size}, as typed by the file"


def embedding_atlas() -> str:
    words = ["embedding-atlas", "map.parquet", "--image", "image", "--x", "x", "--y", "y"]
    program = str(Path(sys.executable).with_name(words[0]))
    subprocess.run([program, *words[1:], "--export-application", "out"], check=True, capture_output=True)
    import pyarrow.parquet as pq

    kept = pq.read_table("out/data/dataset.parquet")
    return f"{len(kept)} rows in the application that it exports; image, x and y are taken"


def fiftyone() -> str:
    """Its data sets lie in MongoDB; the samples are made without one."""
    code = blocks()
    space = executed(code["unpacked"], code["fiftyone"].partition("dataset = ")[0])
    samples = space["samples"]
    labels = sum(sample.label is not None for sample in samples)
    assert samples[0].prediction.label == space["rows"][0]["prediction"]
    return f"{len(samples)} samples are made, {labels} with a label; data set and App, which need MongoDB: untested"


def lightly_studio() -> str:
    code = blocks()
    space = executed(code["unpacked"], code["lightly_studio"])
    found = {sample.file_path_abs: sample for sample in space["dataset"]}
    row = space["rows"][0]
    first = found[row["file"]]
    said = {annotation.class_name for annotation in first.annotations}
    assert said == {row["prediction"], row["label"]} - {None}, said
    assert [*first.tags] == [row["part"]], first.tags
    assert first.metadata["path"] == row["path"]
    return f"{len(found)} images with tags, metadata, vectors, labels and predictions; its window: untested"


TOOLS: dict[str, Callable[[], str]] = {
    "pandas": pandas, "datasets": datasets, "embedding-atlas": embedding_atlas, "fiftyone": fiftyone,
    "lightly-studio": lightly_studio,
}  # fmt: skip


def main(table: Path) -> None:
    for tool, tried in TOOLS.items():
        try:
            number = version(tool)
        except PackageNotFoundError:
            continue
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "map.parquet").symlink_to(table.absolute())
            before = Path.cwd()
            os.chdir(folder)
            try:
                print(f"| {tool} | {number} | {tried()} |", flush=True)
            finally:
                os.chdir(before)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
