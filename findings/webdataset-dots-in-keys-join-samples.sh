#!/usr/bin/env bash
# Packages: webdataset 1.0.2.
#
# A good guess: samples that its own writer has written under different keys are read back as different samples.
# What happens: the writer takes any key, and the reader lets a key end at the first dot of a name. Samples photo.1 and
# photo.2 come back as one sample, photo, that has both images and both labels under other names, and no word is said.
# Dots in the names of folders do no harm.
#
# Output seen:
#   written: photo.1, photo.2, v1.0/photo3
#   read: photo (1.cls, 1.jpg, 2.cls, 2.jpg), v1.0/photo3 (cls, jpg)
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check webdataset==1.0.2
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import webdataset as wds

keys = ["photo.1", "photo.2", "v1.0/photo3"]
with wds.TarWriter("photos.tar") as sink:
    for number, key in enumerate(keys):
        sink.write({"__key__": key, "jpg": b"bytes of an image", "cls": number})
print("written:", ", ".join(keys))
read = wds.WebDataset("photos.tar", shardshuffle=False, empty_check=False)
found = {one["__key__"]: sorted(name for name in one if not name.startswith("__")) for one in read}
print("read:", ", ".join(f"{key} ({', '.join(names)})" for key, names in found.items()))
if found != {"photo": ["1.cls", "1.jpg", "2.cls", "2.jpg"], "v1.0/photo3": ["cls", "jpg"]}:
    sys.exit(f"CHANGED: samples are {found}")
PY
