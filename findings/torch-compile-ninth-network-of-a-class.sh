#!/usr/bin/env bash
# Packages: torch 2.13.0, numpy 2.4.6.
#
# network.compile() compiles one module. A good guess: the limit of eight recompilations holds for each module that is
# compiled, so a program that trains one network after another, each compiled and called with one shape, compiles all.
# What happens: the limit is counted for the code of the class's forward, over all instances that the process ever had,
# also those that are long deleted. The ninth network runs uncompiled, and so do all after it; a warning in the log is
# all there is to see. torch.compiler.reset() between two networks gives each its graph.
#
# Output seen:
#   graphs compiled for ten networks of one class, one after another: [1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
#   with torch.compiler.reset() before each:                          [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - 2>"$work/log" <<'PY'
import gc
import sys

import torch
from torch import nn
from torch._dynamo.utils import counters


class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(x)


def graphs(between):
    seen = []
    for classes in range(2, 12):
        between()
        network = Network(classes)
        network.compile(backend="eager")
        counters.clear()
        network(torch.ones(3, 4))
        seen.append(counters["frames"]["ok"])
        del network
        gc.collect()
    return seen


seen = graphs(lambda: None), graphs(torch.compiler.reset)
print("graphs compiled for ten networks of one class, one after another:", seen[0])
print("with torch.compiler.reset() before each:                         ", seen[1])
if seen != ([1] * 8 + [0] * 2, [1] * 10):
    sys.exit(f"CHANGED: {seen}")
PY
