#!/usr/bin/env bash
# Packages: datumaro 1.13.12, which writes and reads "ImageNet" for CVAT, too.
#
# A good guess: what Datumaro exports as "imagenet", it imports with the same classes.
# What happens: an image keeps the folders of its name below the folder of its class, cat/2026/1.png, and on import each
# such folder is a class of its own: cat/2026 and cat/2027 are two, besides cat. An image without a class, which lies in
# no_label/2026, comes back as one of the class "no_label/2026". Without folders in the names all is well.
#
# Output seen:
#   flat names   wrote ['cat', 'dog'] read ['cat', 'dog'] labelled 2 of 3
#   with folders wrote ['cat', 'dog'] read ['cat', 'cat/2026', 'dog', 'dog/2027', 'no_label/2027'] labelled 3 of 3
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check datumaro==1.13.12
cd "$work"
"$work/venv/bin/python" - 2>/dev/null <<'PY'
import sys

import datumaro as dm
from PIL import Image

Image.new("RGB", (8, 8)).save("one.png")


def back(names, folder):
    """Classes, and how many images have one, after export and import."""
    media = dm.Image.from_file(path="one.png")
    items = [
        dm.DatasetItem(name, media=media, annotations=[] if label is None else [dm.Label(label)])
        for name, label in zip(names, (0, 1, None))
    ]
    dm.Dataset.from_iterable(items, categories=["cat", "dog"]).export(folder, "imagenet", save_media=True)
    read = dm.Dataset.import_from(folder, "imagenet")
    classes = [one.name for one in read.categories()[dm.AnnotationType.label].items]
    return classes, sum(bool(item.annotations) for item in read)


flat, deep = back(["1", "2", "3"], "flat"), back(["2026/1", "2027/2", "2027/3"], "deep")
print("flat names   wrote ['cat', 'dog'] read", flat[0], "labelled", flat[1], "of 3")
print("with folders wrote ['cat', 'dog'] read", deep[0], "labelled", deep[1], "of 3")
if (flat, deep) != ((["cat", "dog"], 2), (["cat", "cat/2026", "dog", "dog/2027", "no_label/2027"], 3)):
    sys.exit(f"CHANGED: flat names come back as {flat}, those with folders as {deep}")
PY
