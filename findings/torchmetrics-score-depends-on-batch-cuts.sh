#!/usr/bin/env bash
# Packages: torchmetrics 1.9.0, torch 2.13.0, numpy 2.4.6.
#
# The binary metrics take probabilities or logits. A good guess: which of the two it is, is settled once for a metric,
# and cutting the same scores into other batches does not change what compute() gives at the end.
# What happens: each update looks only at its own batch. A batch with a value outside 0..1 is put through a sigmoid;
# one whose logits all lie in 0..1 by chance is taken as probabilities. The two kinds are then pooled. So the last,
# small batch, or another batch size, changes the score: here logits that rank the classes perfectly get an AUROC of
# 0.75 in batches of two, and the accuracy of the same four logits is 1.0, 0.75 or 0.5 in batches of four, two or one.
#
# Output seen:
#   BinaryAUROC    batches of 4: 1.0   batches of 2: 0.75
#   BinaryAccuracy batches of 4: 1.0   batches of 2: 0.75   batches of 1: 0.5
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys

import torch
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC


def score(metric, logits, target, size):
    for start in range(0, len(logits), size):
        metric.update(torch.tensor(logits[start : start + size]), torch.tensor(target[start : start + size]))
    return round(metric.compute().item(), 4)


auroc = {size: score(BinaryAUROC(), [0.1, 0.9, 2.0, 3.0], [0, 0, 1, 1], size) for size in (4, 2)}
accuracy = {size: score(BinaryAccuracy(), [0.2, 0.9, 0.4, -3.0], [1, 1, 1, 0], size) for size in (4, 2, 1)}
for name, scores in (("BinaryAUROC   ", auroc), ("BinaryAccuracy", accuracy)):
    print(name, "   ".join(f"batches of {size}: {value}" for size, value in scores.items()))
if (auroc, accuracy) != ({4: 1.0, 2: 0.75}, {4: 1.0, 2: 0.75, 1: 0.5}):
    sys.exit(f"CHANGED: by batch size, AUROC is now {auroc} and accuracy {accuracy}")
PY
