#!/usr/bin/env bash
# Packages: datasets 5.2.0, pyarrow 26.0.1, numpy 2.4.6.
#
# A good guess: Dataset.class_encode_column on integer labels 0..11 only adds the names, and leaves the numbers as they
# are.
# What happens: the numbers are made text, sorted as text, and numbered anew: 2 becomes 4, 10 becomes 2. With ten
# classes or fewer nothing moves, so it shows up on the first set that has more. If the column is encoded in two splits
# apart and one lacks a class, the same new number means two classes.
#
# Output seen:
#   0..9 become  [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
#   0..11 become [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3]
#   class 2 of the result is named 10
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
"$work/venv/bin/python" - <<'PY'
import sys

import datasets

datasets.disable_progress_bars()


def encoded(n):
    return datasets.Dataset.from_dict({"label": list(range(n))}).class_encode_column("label")


ten, twelve = list(encoded(10)["label"]), list(encoded(12)["label"])
name = encoded(12).features["label"].int2str(2)
print("0..9 become ", ten)
print("0..11 become", twelve)
print("class 2 of the result is named", name)
if (ten, twelve, name) != (list(range(10)), [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3], "10"):
    sys.exit(f"CHANGED: integer labels are now encoded as {ten} and {twelve}, class 2 as {name}")
PY
