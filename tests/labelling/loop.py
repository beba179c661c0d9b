"""Labelling in rounds: train, audit for a tool, annotate there, bring the work back, train again.

    python -m tests.labelling.loop http://localhost:18080 TOKEN

has a Label Studio server import and export, which `make_label_studio.py` says how to start. The annotators of the tests
write what a server exports.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from tests.cli.call import folder_of, run, sslkit

IMAGES, TESTED, LABELLED, WRONG = 260, 60, 60, 8
STEPS = ("--set", "finetune.steps=10", "--set", "finetune.batch=32", "--set", "semi.steps=5", "--algo", "fixmatch")
Annotator = Callable[[Path, dict[str, str]], Path]  # from the audit and the true classes to what the tool exports


@dataclass(frozen=True)
class Round:
    """What one round did."""

    shown: int  # images that the tool was given
    found: dict[str, Any]  # of `sslkit convert --json`
    labels: dict[str, str]  # the table that came of it
    test: list[int]  # the images of the run's test part


def digits(folder: Path) -> dict[str, str]:
    """Pictures and `all.csv`: labelled (some wrongly), without a label, tested. Returns what is true of each."""
    data, rng = load_digits(), np.random.default_rng(0)
    truth, rows = dict[str, str](), []
    for k, i in enumerate(rng.permutation(len(data.target))[:IMAGES].tolist()):
        name = f"some folder/{k % 2}/{i:04d}+ä.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((data.images[i] * 255 / 16).round().astype(np.uint8)).save(folder / name)
        truth[name] = f"digit {data.target[i]}"
        tested = k >= IMAGES - TESTED
        said = f"digit {(data.target[i] + 1) % 10}" if k < WRONG else truth[name]
        rows.append([name, said if k < LABELLED or tested else "", "test" if tested else "train"])
    write(folder / "all.csv", [["path", "label", "split"], *rows])
    return truth


def write(file: Path, rows: list[list[str]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows(rows)


def table(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8", newline="") as stream:
        return {row.get("path") or row["file"]: row["label"] for row in csv.DictReader(stream)}


def rounds(top: Path, tool: str, annotate: Annotator, count: int = 3) -> tuple[dict[str, str], list[Round]]:
    """Rounds of which each trains on the labels that the one before left; and what is true."""
    truth, done = digits(top / "data"), list[Round]()
    labels: tuple[object, ...] = ("--labels", "all")
    for k in range(count):
        made = run("--data", f"csv:{top}/data/all.csv", *labels, *STEPS, "--runs", top / "runs", "--json")
        assert made.code == 0, made.err
        folder, out, new = folder_of(made, top / "runs"), top / f"audit {k}", top / f"labels {k}.csv"
        audit = sslkit("audit", folder, "--out", out, "--n", 10, "--to", tool, "--json")
        assert audit.code == 0, audit.err
        export = annotate(out, truth)
        got = sslkit("convert", export, new, "--onto", out / "labels.csv", "--json")
        assert got.code == 0, got.err
        split = json.loads((folder / "split.json").read_text("utf-8"))
        shown = audit.json["suspect_labels"] + audit.json["label_next"]
        done.append(Round(shown, got.json, table(new), split["test"]))
        labels = ("--labels", f"file:{new}")
    return truth, done


def by_server(url: str, token: str) -> Annotator:
    """An annotator at a Label Studio server, who knows the truth and never looks at a prediction."""
    from tests.labelling.make_label_studio import Server

    server = Server(url, token)

    def annotate(out: Path, truth: dict[str, str]) -> Path:
        config = (out / "label-studio.xml").read_text("utf-8")
        project = server.json("POST", "/api/projects", {"title": out.name, "label_config": config})["id"]
        tasks = json.loads((out / "label-studio.json").read_text("utf-8"))
        got = server.json("POST", f"/api/projects/{project}/import", tasks)
        assert (got["task_count"], got["prediction_count"], got["annotation_count"]) == (len(tasks), len(tasks), 0), got
        for task in server.tasks(project):
            server.annotate(task["id"], [truth[named(task["data"]["image"], truth)]])
        export = out.with_name(f"{out.name} export.json")
        asked = "exportType=JSON&download_all_tasks=true"
        export.write_bytes(server.call("GET", f"/api/projects/{project}/export?{asked}"))
        return export

    return annotate


def named(address: str, truth: dict[str, str]) -> str:
    """The image at an address."""
    from sslkit.labelling.label_studio import stored

    return next(name for name in truth if stored(address)[-1].endswith(name))


def main(url: str, token: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        truth, done = rounds(Path(folder), "label-studio", by_server(url, token))
    for k, one in enumerate(done, 1):
        right = sum(truth[name] == label for name, label in one.labels.items() if label)
        counts = {key: one.found[key] for key in ("images", "rows", "changed", "new", "same", "added")}
        same = one.test == done[0].test
        print(f"round {k}: {one.shown} shown, {counts}, {right} labels right, test part the same: {same}")


if __name__ == "__main__":
    main(*sys.argv[1:])
