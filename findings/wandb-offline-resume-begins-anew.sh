#!/usr/bin/env bash
# Packages: wandb 0.31.0.
#
# A good guess: `wandb.init(id=…, resume="must", mode="offline")` goes on with the offline run of that id, which lies beside
# it in ./wandb, and fails where there is none.
# What happens: neither. It begins a second folder with the same id, at step 0 and with an empty summary, and does the same
# for an id that has never been. A warning is printed that `resume` is ignored. So a training that was killed and started
# again leaves two folders that are each half a run.
#
# Output seen:
#   first           step 0, summary {}
#   must, the same  step 0, summary {}
#   must, unknown   step 0, summary {}
#   folders of the id: 2
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check wandb==0.31.0
mkdir "$work/here"
cd "$work/here"
WANDB_SILENT=true "$work/venv/bin/python" - <<'PY'
import sys
import time
from pathlib import Path

import wandb


def begin(said, name, resume):
    run = wandb.init(project="p", id=name, resume=resume, mode="offline")
    seen = (run.starting_step, dict(run.summary))
    print(f"{said:14}  step {seen[0]}, summary {seen[1]}")
    for value in range(3):
        run.log({"loss": value})
    run.finish()
    time.sleep(1.1)  # folders are named by the second
    return seen


seen = [begin("first", "abc", None), begin("must, the same", "abc", "must"), begin("must, unknown", "never", "must")]
folders = len([*Path("wandb").glob("offline-run-*-abc")])
print("folders of the id:", folders)
if seen != [(0, {})] * 3 or folders != 2:
    sys.exit(f"CHANGED: {seen}, {folders} folders")
PY
