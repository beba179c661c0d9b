#!/usr/bin/env bash
# Packages: label-studio-sdk 2.1.2, whose converter writes the CSV and JSON_MIN exports of Label Studio (1.23.2 too).
#
# A good guess: the exports CSV and JSON_MIN of three tasks, one labelled, one skipped, one not yet seen, have a row for
# each, as the export JSON has a task for each; or both lack the tasks that have no label.
# What happens: the task that nobody has seen yet is a row without a label, the one that was skipped is in no row. So a
# table of images made of the CSV silently lacks those that the annotator passed over, often the hard ones. Two
# annotations of one task are two rows, and which of them is the ground truth is in neither file.
#
# Output seen:
#   CSV      [('labelled.png', 'cat'), ('new.png', ''), ('twice.png', 'dog'), ('twice.png', 'cat')]
#   JSON_MIN [('labelled.png', 'cat'), ('new.png', ''), ('twice.png', 'dog'), ('twice.png', 'cat')]
#   'ground' stands in the CSV: False
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
cd "$work"
"$work/venv/bin/python" - <<'PY'
import csv
import json
import sys
from pathlib import Path

from label_studio_sdk.converter import Converter

CONFIG = """<View><Image name="image" value="$image"/>
<Choices name="choice" toName="image"><Choice value="cat"/><Choice value="dog"/></Choices></View>"""


def annotation(number, label, **more):
    value = {"choices": [label]}
    result = [{"from_name": "choice", "to_name": "image", "type": "choices", "value": value}] if label else []
    times = dict.fromkeys(("created_at", "updated_at"), f"2026-01-0{number}T00:00:00Z")
    return {"id": number, "completed_by": 1, "was_cancelled": False, "lead_time": 1.0, "result": result, **times, **more}


given = {
    "labelled.png": [annotation(1, "cat")],
    "skipped.png": [annotation(2, "", was_cancelled=True)],
    "new.png": [],
    "twice.png": [annotation(3, "cat", ground_truth=True), annotation(4, "dog", ground_truth=False)],
}
tasks = [{"id": i, "data": {"image": name}, "annotations": a} for i, (name, a) in enumerate(given.items(), 1)]
Path("tasks.json").write_text(json.dumps(tasks))
converter = Converter(CONFIG, ".", download_resources=False)
converter.convert_to_csv("tasks.json", "out.csv", is_dir=False, sep=",")
converter.convert_to_json_min("tasks.json", "min", is_dir=False)
text = Path("out.csv").read_text()
rows = [(row["image"], row["choice"]) for row in csv.DictReader(text.splitlines())]
small = [(row["image"], row.get("choice", "")) for row in json.loads(Path("min/result.json").read_text())]
print("CSV     ", rows)
print("JSON_MIN", small)
print("'ground' stands in the CSV:", "ground" in text)
seen = [("labelled.png", "cat"), ("new.png", ""), ("twice.png", "dog"), ("twice.png", "cat")]
if rows != seen or small != seen or "ground" in text:
    sys.exit(f"CHANGED: of the tasks {[*given]} the CSV has {rows}, JSON_MIN {small}")
PY
