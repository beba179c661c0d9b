#!/usr/bin/env bash
# Package: scikit-learn 1.9.1 (with numpy 2.4.6).
#
# LabelPropagation and LabelSpreading fill in the labels that are given as -1. A good guess: points that no labelled
# point is linked to keep -1, or get an even distribution, or a warning.
# What happens: fit gives all of them the first class in sorted order, without a warning, as the largest entry of a row
# of zeros; predict says so too. Only predict_proba shows it, by NaN, and numpy's warning of a division that predict
# sets off. With the knn kernel such islands are usual, so pseudo-labels taken from transduction_ are inflated for the
# class with the smallest number.
#
# Output seen (three groups; the first has a label 7, the second a label 3, the third none):
#   LabelPropagation: filled in [7, 7, 7, 3, 3, 3, 3, 3, 3], rows of the third group all zero: True, warnings: 0
#     predict [3], predict_proba [nan, nan]
#   LabelSpreading: filled in [7, 7, 7, 3, 3, 3, 3, 3, 3], rows of the third group all zero: True, warnings: 0
#     predict [3], predict_proba [nan, nan]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  scikit-learn==1.9.1 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
import warnings

import numpy as np
from sklearn.semi_supervised import LabelPropagation, LabelSpreading

points = np.array([0, 0.1, 0.2, 10, 10.1, 10.2, 20, 20.1, 20.2])[:, None]
labels = np.array([7, -1, -1, 3, -1, -1, -1, -1, -1])
changed = False
for cls in (LabelPropagation, LabelSpreading):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = cls(kernel="knn", n_neighbors=2).fit(points, labels)
    filled = model.transduction_.tolist()
    zero = not model.label_distributions_[6:].any()
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")
        guess, proba = model.predict([[20.1]]).tolist(), model.predict_proba([[20.1]])[0]
    print(f"{cls.__name__}: filled in {filled}, rows of the third group all zero: {zero}, warnings: {len(caught)}")
    print(f"  predict {guess}, predict_proba {proba.tolist()}")
    changed |= (filled, zero, len(caught), guess) != ([7] * 3 + [3] * 6, True, 0, [3]) or not np.isnan(proba).all()

if changed:
    sys.exit("CHANGED: a group with no labelled point is no longer given the first class in silence")
PY
