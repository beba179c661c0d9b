#!/usr/bin/env bash
# Packages: datasets 5.2.0, pyarrow 26.0.1, Pillow 13.0.0, numpy 2.4.6.
#
# A good guess: Dataset.map stores the picture that the mapped function returns.
# What happens: where the picture came from a file and was changed in place (thumbnail, paste, putpixel, ...), map
# stores the name of the file and not the pixels, as it goes by whether the picture still has a filename. The edit is
# dropped without a word, and reading the new column gives the old picture. The same function is kept where the
# pictures came as bytes, or where the last step made a new picture (copy, convert, resize). Putting an edited picture
# into a new Dataset does the same.
#
# Output seen:
#   map, from a file, in place:     size (100, 80), colour (255, 0, 0)
#   map, from bytes, in place:      size (10, 8), colour (0, 0, 255)
#   map, from a file, then copy():  size (10, 8), colour (0, 0, 255)
#   new Dataset, from a file:       size (100, 80), colour (255, 0, 0)
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  datasets==5.2.0 pyarrow==26.0.1 pillow==13.0.0 numpy==2.4.6
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
"$work/venv/bin/python" - <<'PY'
import sys

import datasets
from PIL import Image

datasets.disable_progress_bars()
Image.new("RGB", (100, 80), (255, 0, 0)).save("red.png")
with open("red.png", "rb") as file:
    raw = file.read()


def edit(image):
    image.thumbnail((10, 10))
    image.paste((0, 0, 255), (0, 0, *image.size))
    return image


def column(value):
    return datasets.Dataset.from_dict({"image": [value]}, features=datasets.Features({"image": datasets.Image()}))


def mapped(data, change):
    return data.map(lambda row: {"image": change(row["image"])}, keep_in_memory=True)


seen = {}
for name, data in (
    ("map, from a file, in place:", mapped(column("red.png"), edit)),
    ("map, from bytes, in place:", mapped(column({"bytes": raw, "path": None}), edit)),
    ("map, from a file, then copy():", mapped(column("red.png"), lambda image: edit(image).copy())),
    ("new Dataset, from a file:", column(edit(Image.open("red.png")))),
):
    image = data[0]["image"]
    seen[name] = image.size, image.getpixel((0, 0))
    print(f"{name:31} size {image.size}, colour {image.getpixel((0, 0))}")

old, new = ((100, 80), (255, 0, 0)), ((10, 8), (0, 0, 255))
if list(seen.values()) != [old, new, new, old]:
    sys.exit(f"CHANGED: edits in place are now stored as {seen}")
PY
