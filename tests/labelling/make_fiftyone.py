"""Makes fixtures/fiftyone/ by FiftyOne's exporters, one of its data sets by folders and three ways of its JSON.

pip install fiftyone==1.22.1              # no MongoDB is needed: exporters are given samples one by one
python -m tests.labelling.make_fiftyone
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.labelling.images import CLASSES, SEVERAL, classes_of, make

OUT = Path(__file__).parent / "fixtures" / "fiftyone"


def main() -> None:
    import fiftyone as fo
    from fiftyone.utils.data import exporters

    shutil.rmtree(OUT, ignore_errors=True)
    as_json = exporters.FiftyOneImageClassificationDatasetExporter
    with tempfile.TemporaryDirectory() as folder:
        made = make(Path(folder))
        ways = {
            "tree": exporters.ImageClassificationDirectoryTreeExporter(str(OUT / "tree")),
            "names": as_json(str(OUT / "names"), export_media=False, rel_dir=folder),
            "numbers": as_json(str(OUT / "numbers"), classes=CLASSES, export_media=False, rel_dir=folder),
            "confidence": as_json(str(OUT / "confidence"), include_confidence=True, export_media=False, rel_dir=folder),
            "flat": as_json(str(OUT / "flat")),  # pictures in one folder, renamed
        }
        for exporter in ways.values():
            with exporter:
                for name in made:
                    exporter.export_sample(str(Path(folder) / name), _label(fo, name), metadata=None)
    shutil.rmtree(OUT / "flat" / "data")


def _label(fo: Any, name: str) -> Any:
    """A `Classification` is one class: the image of several has none."""
    given = [] if name == SEVERAL else classes_of(name)
    return fo.Classification(label=given[0], confidence=0.5) if given else None


if __name__ == "__main__":
    main()
