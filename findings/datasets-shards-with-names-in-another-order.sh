#!/usr/bin/env bash
# Packages: datasets 5.2.0, pyarrow 26.0.1, numpy 2.4.6.
#
# A good guess: each parquet file of the hub carries the names of its ClassLabel column, so load_dataset reads every
# file's numbers with that file's names, or refuses files whose names differ.
# What happens: the first file's names hold for all, in silence. A second file that lists the same classes in another
# order has its labels exchanged; the same holds for a test file that is loaded with the training files.
#
# Output seen:
#   written:  ['cat', 'dog', 'cat', 'cat']
#   read:     ['cat', 'dog', 'dog', 'dog']
#   alone:    ['cat', 'cat'] (the second file, by itself)
#   split:    train ['cat', 'dog'], test ['dog', 'dog']
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  datasets==5.2.0 pyarrow==26.0.1 numpy==2.4.6
cd "$work"
export HF_HOME="$work/hf" HF_HUB_OFFLINE=1 HF_HUB_DISABLE_TELEMETRY=1
"$work/venv/bin/python" - <<'PY'
import json
import sys

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

datasets.disable_progress_bars()


def write(file, words, names):
    about = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    numbers = pa.array([names.index(word) for word in words], pa.int64())
    table = pa.table({"label": numbers}).replace_schema_metadata({"huggingface": json.dumps(about)})
    pq.write_table(table, file)


def words(part):
    return [part.features["label"].int2str(number) for number in part["label"]]


write("first.parquet", ["cat", "dog"], ["cat", "dog"])
write("second.parquet", ["cat", "cat"], ["dog", "cat"])
both = words(datasets.load_dataset("parquet", data_files=["first.parquet", "second.parquet"], split="train"))
alone = words(datasets.load_dataset("parquet", data_files="second.parquet", split="train"))
parts = datasets.load_dataset("parquet", data_files={"train": "first.parquet", "test": "second.parquet"})
split = {name: words(part) for name, part in parts.items()}
print("written: ", ["cat", "dog", "cat", "cat"])
print("read:    ", both)
print("alone:   ", alone, "(the second file, by itself)")
print("split:    train", split["train"], "test", split["test"])
seen = (both, alone, split["test"])
if seen != (["cat", "dog", "dog", "dog"], ["cat", "cat"], ["dog", "dog"]):
    sys.exit(f"CHANGED: files with names in another order are now read as {seen}")
PY
