#!/usr/bin/env bash
# Packages: datumaro 1.13.12.
#
# A good guess: two images with different names are two files in a data set that Datumaro exports in its own format.
# What happens: a slash in a name becomes an underline in the file's name, so that a/1 and a_1 are both a_1.png. One
# picture is left, no word is said, and read back both items have their own labels and the same pixels: the first image
# has the second one's picture.
#
# Output seen:
#   files ['a_1.png']
#   a/1 is labelled red and is blue
#   a_1 is labelled blue and is blue
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'PY'
import sys
from pathlib import Path

import datumaro as dm
from PIL import Image

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}
items = []
for number, (name, (word, colour)) in enumerate(zip(("a/1", "a_1"), COLOURS.items())):
    Image.new("RGB", (8, 8), colour).save(f"{word}.png")
    media = dm.Image.from_file(path=f"{word}.png")
    items.append(dm.DatasetItem(name, media=media, annotations=[dm.Label(number)]))
dm.Dataset.from_iterable(items, categories=[*COLOURS]).export("out", "datumaro", save_media=True)
files = sorted(path.name for path in Path("out").rglob("*.png"))
print("files", files)
found = []
for item in dm.Dataset.import_from("out", "datumaro"):
    pixel = tuple(int(level) for level in Image.open(item.media.path).convert("RGB").getpixel((0, 0)))
    seen = next(word for word, colour in COLOURS.items() if colour == pixel)
    found.append((item.id, [*COLOURS][item.annotations[0].label], seen))
    print("{} is labelled {} and is {}".format(*found[-1]))
if files != ["a_1.png"] or found != [("a/1", "red", "blue"), ("a_1", "blue", "blue")]:
    sys.exit(f"CHANGED: files are {files}, and items (name, label, colour) {found}")
PY
