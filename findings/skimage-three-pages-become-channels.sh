#!/usr/bin/env bash
# Packages: scikit-image 0.26.0, tifffile 2026.3.3, Pillow 13.0.0, numpy 2.4.6.
#
# A good guess: skimage.io.imread of a TIFF with n grey pages gives (n, height, width), as tifffile and imageio do.
# What happens: with exactly 3 or 4 pages the page axis is moved to the end, and the pages come out as the colour
# channels of one picture, (height, width, n). With 2 pages, or with 5 and more, it stays in front. So stack[0] is a
# page for most files and the first pixel row of all pages for some; no warning is given, and a stack of three pages
# passes for an RGB picture.
#
# Output seen (pages: shape by scikit-image, by tifffile):
#   2: (2, 20, 30) (2, 20, 30)
#   3: (20, 30, 3) (3, 20, 30)
#   4: (20, 30, 4) (4, 20, 30)
#   5: (5, 20, 30) (5, 20, 30)
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-image==0.26.0 tifffile==2026.3.3 pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
import warnings

warnings.simplefilter("error")
import skimage.io
import tifffile
from PIL import Image

pages = [Image.new("L", (30, 20), 10 * i) for i in range(5)]
seen = {}
for n in (2, 3, 4, 5):
    pages[0].save("x.tif", save_all=True, append_images=pages[1:n])
    seen[n] = skimage.io.imread("x.tif").shape, tifffile.imread("x.tif").shape
    print(f"{n}:", *seen[n])

want = {n: ((20, 30, n) if n in (3, 4) else (n, 20, 30), (n, 20, 30)) for n in (2, 3, 4, 5)}
if seen != want:
    sys.exit(f"CHANGED: the shapes of multi-page TIFFs are now {seen}")
PY
