#!/usr/bin/env bash
# Package: opencv-python-headless 5.0.0.93 (4.14.0.94 did the same), tifffile 2026.3.3 to write the file, numpy 2.4.6.
#
# A good guess: cv2.imread(path) and cv2.imdecode(the bytes of that path) read the same set of files.
# What happens: a non-square TIFF whose Orientation tag has one of the values 5 to 8 is refused by imread, which logs
# an internal error and returns None, also with IMREAD_UNCHANGED or IMREAD_IGNORE_ORIENTATION; imdecode reads the same
# bytes and turns the picture. The square picture, and the values 1 to 4, are read by both. A loader that takes None
# for "not an image" loses just the portrait shots, and one that was tried on square tiles loses none.
#
# Output seen (shape by imread, shape by imdecode):
#   4x8 orientation 1: (4, 8, 3) (4, 8, 3)
#   4x8 orientation 3: (4, 8, 3) (4, 8, 3)
#   4x4 orientation 6: (4, 4, 3) (4, 4, 3)
#   4x8 orientation 8: None (8, 4, 3)
#   4x8 orientation 6: None (8, 4, 3)
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  opencv-python-headless==5.0.0.93 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
export OPENCV_LOG_LEVEL=SILENT
"$work/venv/bin/python" - <<'PY'
import sys

import cv2
import numpy as np
import tifffile


def look(width, orientation):
    """The shapes by path and from memory of a grey TIFF of 4 rows."""
    tifffile.imwrite("x.tif", np.arange(4 * width, dtype=np.uint8).reshape(4, width), photometric="minisblack",
                     extratags=[(274, "H", 1, orientation, True)])
    image = cv2.imread("x.tif", cv2.IMREAD_COLOR)
    path = None if image is None else image.shape
    memory = cv2.imdecode(np.fromfile("x.tif", np.uint8), cv2.IMREAD_COLOR).shape
    print(f"4x{width} orientation {orientation}:", path, memory)
    return path, memory


seen = [look(8, 1), look(8, 3), look(4, 6), look(8, 8), look(8, 6)]
flags = cv2.IMREAD_UNCHANGED, cv2.IMREAD_GRAYSCALE, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
read = sum(cv2.imread("x.tif", flag) is not None for flag in flags)
flat, turned, square = (4, 8, 3), (8, 4, 3), (4, 4, 3)
if seen != [(flat, flat), (flat, flat), (square, square), (None, turned), (None, turned)] or read:
    sys.exit(f"CHANGED: imread and imdecode of a turned TIFF now give {seen}; {read} of 3 other flags read it")
PY
