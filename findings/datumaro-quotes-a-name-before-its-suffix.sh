#!/usr/bin/env bash
# Packages: datumaro 1.13.12, whose lists CVAT exports as "ImageNet 1.0" without images, too.
#
# A good guess: in train.txt of the export "imagenet_txt", a name with a space stands in quotes, as a shell or a CSV file
# has it, "two words.png", or without any.
# What happens: the quotes are around the name without its suffix, "two words".png. Who splits the line between spaces
# gets a path that does not exist and a suffix for a class; who reads it as CSV with spaces between gets the path right.
#
# Output seen:
#   ['"two words".png 0', 'one.png 0']
#   between spaces ['"two', 'words".png', '0'], as CSV ['two words.png', '0']
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'PY'
import csv
import sys
from pathlib import Path

import datumaro as dm
from PIL import Image

Image.new("RGB", (8, 8)).save("picture.png")
media = dm.Image.from_file(path="picture.png")
items = [dm.DatasetItem(n, subset="train", media=media, annotations=[dm.Label(0)]) for n in ("one", "two words")]
dm.Dataset.from_iterable(items, categories=["cat"]).export("out", "imagenet_txt", save_media=True)
lines = sorted(Path("out/train.txt").read_text().splitlines())
print(lines)
split, (row,) = lines[0].split(), csv.reader(lines[:1], delimiter=" ")
print(f"between spaces {split}, as CSV {row}")
if lines != ['"two words".png 0', "one.png 0"] or row != ["two words.png", "0"]:
    sys.exit(f"CHANGED: the lines are {lines}, the first as CSV {row}")
PY
