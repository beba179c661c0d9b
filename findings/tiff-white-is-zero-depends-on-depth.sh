#!/usr/bin/env bash
# Packages: Pillow 13.0.0, opencv-python-headless 5.0.0.93, tifffile 2026.3.3, numpy 2.4.6.
#
# A grey TIFF may say that 0 is white (PhotometricInterpretation 0, common in scans). A good guess: a reader either
# honours this and gives the picture with black as 0, or hands out the stored numbers; one or the other.
# What happens: it depends on the bit depth, and in OpenCV on the flag too. Pillow and OpenCV invert the 8-bit file.
# From the same picture in 16 bits both hand out the stored numbers, so the picture is a negative; but OpenCV asked for
# IMREAD_COLOR or IMREAD_GRAYSCALE gives the 16-bit file inverted again. tifffile never inverts. A set with both depths
# is half negatives, and when Pillow saves the 16-bit picture again it writes "0 is black", so that the polarity is
# lost for good.
#
# Output seen (the first row; stored are 0 10 20 30, or 256 times that; lines broken here):
#   8 bit:  tifffile [0, 10, 20, 30]  Pillow [255, 245, 235, 225]
#           OpenCV unchanged [255, 245, 235, 225]  grey [255, 245, 235, 225]  colour [255, 245, 235, 225]
#   16 bit:  tifffile [0, 2560, 5120, 7680]  Pillow [0, 2560, 5120, 7680]
#           OpenCV unchanged [0, 2560, 5120, 7680]  grey [255, 245, 235, 225]  colour [255, 245, 235, 225]
#   16 bit, saved again by Pillow: interpretation 1, stored [0, 2560, 5120, 7680]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np
import tifffile
from PIL import Image

seen = {}
for bits, dtype, factor in ((8, np.uint8, 1), (16, np.uint16, 256)):
    tifffile.imwrite("x.tif", np.array([[0, 10, 20, 30]] * 4, dtype) * dtype(factor), photometric="miniswhite")
    rows = {
        "tifffile": tifffile.imread("x.tif"),
        "Pillow": np.asarray(Image.open("x.tif")),
        "OpenCV unchanged": cv2.imread("x.tif", cv2.IMREAD_UNCHANGED),
        "grey": cv2.imread("x.tif", cv2.IMREAD_GRAYSCALE),
        "colour": cv2.imread("x.tif", cv2.IMREAD_COLOR)[..., 0],
    }
    seen[bits] = [array[0].tolist() for array in rows.values()]
    print(f"{bits} bit:", *(f"{name} {row}" for name, row in zip(rows, seen[bits])), sep="  ")

Image.open("x.tif").save("again.tif")
again = Image.open("again.tif").tag_v2[262], tifffile.imread("again.tif")[0].tolist()
print(f"16 bit, saved again by Pillow: interpretation {again[0]}, stored {again[1]}")

small, large, white = [0, 10, 20, 30], [0, 2560, 5120, 7680], [255, 245, 235, 225]
if seen != {8: [small, white, white, white, white], 16: [large, large, large, white, white]} or again != (1, large):
    sys.exit(f"CHANGED: a TIFF with white as 0 is now read as {seen} and saved again as {again}")
PY
