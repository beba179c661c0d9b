#!/usr/bin/env bash
# Packages: Pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6.
#
# A TIFF in colour may keep its bands pixel by pixel or one plane after another (PlanarConfiguration 2), as many
# microscopes and remote sensing tools write it. Pillow reads 16 bits in colour as 8. A good guess: from either layout it
# gives the upper byte of every level, or refuses the one that it does not know.
# What happens: pixel by pixel it gives the upper bytes. Of planes it takes every byte for a pixel, so that lower and
# upper bytes stand side by side and each row shows half of what it should: no error, and an image of the right size.
#
# Output seen (first row of the second band, whose levels are 0x0011, 0x2211, 0x4411, 0x6611):
#   pixel by pixel: [0, 34, 68, 102]
#   planes: [17, 0, 17, 34]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
import tifffile
from PIL import Image

picture = np.zeros((4, 4, 3), np.uint16)
picture[..., 1] = 0x0011 + 0x2200 * np.arange(4)
seen = {}
for name, planar, pixels in (("pixel by pixel", "contig", picture), ("planes", "separate", np.moveaxis(picture, -1, 0))):
    tifffile.imwrite("x.tif", pixels, photometric="rgb", planarconfig=planar)
    assert np.array_equal(tifffile.imread("x.tif"), pixels)
    seen[name] = np.asarray(Image.open("x.tif"))[0, :, 1].tolist()
    print(f"{name}: {seen[name]}")
if seen != {"pixel by pixel": [0, 34, 68, 102], "planes": [17, 0, 17, 34]}:
    sys.exit(f"CHANGED: a TIFF of 16 bits in planes is now read as {seen}")
PY
