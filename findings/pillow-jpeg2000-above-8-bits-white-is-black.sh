#!/usr/bin/env bash
# Packages: Pillow 13.0.0, imagecodecs 2026.3.6, numpy 2.4.6.
#
# Pillow reads JPEG 2000 of more than 8 bits in colour as 8 bits, by a shift that rounds. A good guess: the lightest
# level becomes 255.
# What happens: rounding carries it one above 255, and it becomes 0. Levels within half a step of white are black, at
# 10, 12 and 16 bits, so that what is overexposed has black holes. Grey of the same depth keeps its levels.
#
# Output seen (three levels: white, one step of 8 bits below it, half of white):
#   10 bits: colour [0, 254, 128]
#   12 bits: colour [0, 254, 128]
#   16 bits: colour [0, 254, 128]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import sys

import imagecodecs
import numpy as np
from PIL import Image

seen = {}
for bits in (10, 12, 16):
    white = (1 << bits) - 1
    picture = np.zeros((16, 16, 3), np.uint16)
    picture[0, :3] = [[white] * 3, [254 << (bits - 8)] * 3, [128 << (bits - 8)] * 3]
    data = imagecodecs.jpeg2k_encode(picture, level=0, bitspersample=bits, reversible=True)
    assert np.array_equal(imagecodecs.jpeg2k_decode(data), picture)
    seen[bits] = np.asarray(Image.open(io.BytesIO(data)))[0, :3, 0].tolist()
    print(f"{bits} bits: colour {seen[bits]}")
if any(row != [0, 254, 128] for row in seen.values()):
    sys.exit(f"CHANGED: white, 254 and 128 of JPEG 2000 above 8 bits are now read as {seen}")
PY
