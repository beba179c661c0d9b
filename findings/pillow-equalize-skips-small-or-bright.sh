#!/usr/bin/env bash
# Package: Pillow 13.0.0 (with numpy 2.4.6).
#
# A good guess: ImageOps.equalize, an operation of most strong-augmentation policies, spreads the grey levels of any
# picture that has a few of them, and treats a picture and its negative alike.
# What happens: it hands the picture back unchanged where fewer than 255 pixels are darker than the brightest level
# that occurs. That is every picture of 15 x 15 or less, however flat; and a 32 x 32 one with a white background and a
# small dark object, while the negative of that picture, an object on black, is spread as it should. No warning. The
# policy then holds one operation less than it says, and for one polarity of the data only.
#
# Output seen:
#   15x15 noise in 100..129: unchanged True, levels 100..129
#   17x17 noise in 100..129: unchanged False, levels 0..255
#   32x32, object of 200 pixels on white: unchanged True
#   32x32, its negative: unchanged False
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  pillow==13.0.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import numpy as np
from PIL import Image, ImageOps


def look(array):
    """Whether equalize leaves the picture as it is, its lowest and its highest level."""
    out = np.asarray(ImageOps.equalize(Image.fromarray(array)))
    return np.array_equal(out, array), int(out.min()), int(out.max())


seen = []
for side in (15, 17):
    noise = 100 + (np.arange(side * side) * 7 % 30).astype(np.uint8).reshape(side, side)
    same, low, high = look(noise)
    print(f"{side}x{side} noise in 100..129: unchanged {same}, levels {low}..{high}")
    seen.append((same, low, high))

white = np.full((32, 32), 255, np.uint8)
white[:10, :20] = 100 + np.arange(200).reshape(10, 20) % 50
for name, array in (("object of 200 pixels on white", white), ("its negative", 255 - white)):
    same = look(array)[0]
    print(f"32x32, {name}: unchanged {same}")
    seen.append(same)

if seen != [(True, 100, 129), (False, 0, 255), True, False]:
    sys.exit(f"CHANGED: equalize now gives {seen}")
PY
