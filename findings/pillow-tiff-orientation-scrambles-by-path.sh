#!/usr/bin/env bash
# Package: Pillow 13.0.0 (with numpy 2.4.6 to look at the pixels), on Linux.
#
# A TIFF whose Orientation tag asks for a quarter turn (values 5 to 8) is turned by Pillow while it loads it. A good
# guess: Image.open(path) and Image.open(io.BytesIO(the same bytes)) give the same picture, and so do all modes.
# What happens: for an uncompressed, non-square file in mode L, I;16, P, RGBA or CMYK, opening by path gives another
# picture than opening the bytes, without a warning. The rows are cut at the length that a row has after the turn, so
# the pixels are scrambled, and the size comes out unturned. RGB, any compressed file, and the same file from memory
# are right. A grey data set that was stored this way is trained on noise, and a test that feeds bytes does not see it.
#
# Output seen:
#   L      by path 8x4, equals the turned picture: False; from bytes 4x8: True
#   I;16   by path 8x4, equals the turned picture: False; from bytes 4x8: True
#   RGBA   by path 8x4, equals the turned picture: False; from bytes 4x8: True
#   RGB    by path 4x8, equals the turned picture: True; from bytes 4x8: True
#   L with LZW: by path 4x8, equals the turned picture: True; from bytes 4x8: True
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import sys

import numpy as np
from PIL import Image

exif = Image.Exif()
exif[0x0112] = 6  # "turn me clockwise by a quarter"
grey = np.arange(32, dtype=np.uint8).reshape(4, 8)


def look(mode, compression=None):
    """Whether the file gives the turned picture: (by path, from bytes)."""
    image = Image.fromarray(grey.astype(np.uint16)) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    image.save("x.tif", exif=exif, compression=compression)
    with open("x.tif", "rb") as file:
        raw = io.BytesIO(file.read())
    want = np.asarray(image.transpose(Image.Transpose.ROTATE_270))
    by_path, by_bytes = Image.open("x.tif"), Image.open(raw)
    by_path.load()
    by_bytes.load()
    right = tuple(np.array_equal(np.asarray(i), want) for i in (by_path, by_bytes))
    label = f"{mode} with LZW:" if compression else f"{mode:6}"
    print(f"{label} by path {by_path.width}x{by_path.height}, equals the turned picture: {right[0]}; "
          f"from bytes {by_bytes.width}x{by_bytes.height}: {right[1]}")
    return right


seen = [look("L"), look("I;16"), look("RGBA"), look("RGB"), look("L", "tiff_lzw")]
if seen != [(False, True)] * 3 + [(True, True)] * 2:
    sys.exit(f"CHANGED: a turned TIFF by path and from bytes now compares as {seen}")
PY
