#!/usr/bin/env bash
# Packages: fiftyone 1.22.1.
#
# A good guess: labels.json of a FiftyOneImageClassificationDataset has an entry for each image.
# What happens: images are called there without their suffixes. Where labels alone are exported (export_media=False, as
# for images that stay where they are), scan.png and scan.jpg are one entry, with the label of the last; nothing is said.
# Where the pictures are exported too, the second one is renamed to scan-2 and nothing is lost.
#
# Output seen:
#   labels alone  {'scan': 'dog'}
#   with pictures {'scan': 'cat', 'scan-2': 'dog'}
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check fiftyone==1.22.1
cd "$work"
export HOME="$work" FIFTYONE_DO_NOT_TRACK=1
"$work/venv/bin/python" - <<'PY'
import json
import sys
from pathlib import Path

import fiftyone as fo
from fiftyone.utils.data.exporters import FiftyOneImageClassificationDatasetExporter
from PIL import Image

LABELS = {"scan.png": "cat", "scan.jpg": "dog"}
folder = Path("images").absolute()
folder.mkdir()


def exported(out, **options):
    """The labels that an exporter writes; its samples are given to it one by one, which needs no database."""
    with FiftyOneImageClassificationDatasetExporter(out, **options) as exporter:
        for name, label in LABELS.items():
            Image.new("RGB", (8, 8)).save(folder / name)
            exporter.export_sample(str(folder / name), fo.Classification(label=label))
    return json.loads(Path(out, "labels.json").read_text())["labels"]


alone, both = exported("alone", export_media=False, rel_dir=str(folder)), exported("both")
print("labels alone ", alone)
print("with pictures", both)
if (alone, both) != ({"scan": "dog"}, {"scan": "cat", "scan-2": "dog"}):
    sys.exit(f"CHANGED: labels of {LABELS} are now {alone} alone, {both} with pictures")
PY
