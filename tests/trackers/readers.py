"""What trackers have of a store's runs, by the readers that come with them: run -> figure -> its steps and values.

wandb has no reader of offline runs but its terminal interface, so their file is cut into records here, as LevelDB's log
format has them, and each is parsed by wandb's own protocol buffers.
"""

from __future__ import annotations

import importlib.util
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

Figures = dict[str, list[tuple[int, float]]]
BLOCK, HEADER = 32768, 7  # bytes of a block, and of what stands before each piece of a record


def tensorboard(runs: Path) -> dict[str, Figures]:
    from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

    found: dict[str, Figures] = {}
    for folder in runs.glob("*/tensorboard"):
        board = EventMultiplexer(size_guidance={"scalars": 0}).AddRunsFromDirectory(str(folder)).Reload()
        figures = found[folder.parent.name] = {}
        for stage, kinds in board.Runs().items():
            for tag in kinds["scalars"]:
                figures[f"{stage}/{tag}"] = [(e.step, e.value) for e in board.Scalars(stage, tag)]
    return found


def mlflow(runs: Path) -> dict[str, Figures]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{runs.resolve() / 'mlflow.db'}")
    found: dict[str, Figures] = {}
    for run in client.search_runs([e.experiment_id for e in client.search_experiments()]):
        history = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        found[run.info.run_id] = {key: [(m.step, m.value) for m in values] for key, values in history.items()}
    return found


def trackio(_: Path) -> dict[str, Figures]:
    from trackio import SQLiteStorage

    found: dict[str, Figures] = {}
    for project in SQLiteStorage.get_projects():
        for name in SQLiteStorage.get_runs(project):
            logs = [
                ({k: v for k, v in log.items() if k not in ("timestamp", "step")}, log["step"])
                for log in SQLiteStorage.get_logs(project, name)
            ]
            found[name] = _columns(logs)
    return found


def wandb(runs: Path) -> dict[str, Figures]:
    from wandb.proto.wandb_internal_pb2 import Record

    found: dict[str, Figures] = {}
    for file in sorted(runs.glob("*/wandb/offline-run-*/*.wandb")):
        logs = []
        for content in _records(file.read_bytes()):
            record = Record()
            record.ParseFromString(content)
            if record.WhichOneof("record_type") == "history":
                items = {i.key or i.nested_key[0]: json.loads(i.value_json) for i in record.history.item}
                row = {key: value for key, value in items.items() if not key.startswith("_")}
                logs.append((row, int(next(value for key, value in row.items() if key.endswith("/step")))))
        found[file.parent.name] = _columns(logs)
    return found


def _columns(logs: list[tuple[dict[str, Any], int]]) -> Figures:
    figures: Figures = {}
    for row, step in logs:
        for key, value in row.items():
            figures.setdefault(key, []).append((step, value))
    return figures


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a log of LevelDB's format, behind wandb's own seven bytes; a torn one at the end is left out."""
    at, record = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # no room for a header: zeros
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0:
            return
        record += data[at + HEADER : at + HEADER + size]
        at += HEADER + size
        if kind in (1, 4):  # whole, or the last piece
            yield record
            record = b""


READERS: Mapping[str, Callable[[Path], dict[str, Figures]]] = {
    "tensorboard": tensorboard,
    "mlflow": mlflow,
    "wandb": wandb,
    "trackio": trackio,
}


def expected(runs: Path) -> Figures:
    """The same of a store with one run, from the logs of its stages."""
    (file,) = runs.glob("*/run.json")
    figures: Figures = {}
    for stage, key in json.loads(file.read_text())["stages"].items():
        for text in (runs / "stages" / key / "metrics.jsonl").read_text().splitlines():
            line = json.loads(text)
            for name, value in line.items():
                if value is not None:
                    figures.setdefault(f"{stage.replace('+', '_plus')}/{name}", []).append((line["step"], value))
    return figures


def differences(runs: Path, tracker: str) -> list[str]:
    """What a tracker has otherwise than the logs: more runs than one, rows twice, in another order, other values."""
    found = READERS[tracker](runs)
    if len(found) != 1:
        return [f"{len(found)} runs"]
    (have,), want = found.values(), expected(runs)
    have = {name: rows for name, rows in have.items() if not name.startswith("result/")}
    apart = [f"{name} is {'missing' if name in want else 'more'}" for name in have.keys() ^ want.keys()]
    for name in have.keys() & want.keys():
        rows = [(s, pytest.approx(v, rel=1e-7) if tracker == "tensorboard" else v) for s, v in want[name]]
        if have[name] != rows:
            apart.append(f"{name}: {have[name][:3]} … ({len(have[name])}) instead of {rows[:3]} … ({len(rows)})")
    return apart


def there(tracker: str) -> bool:
    return importlib.util.find_spec(tracker) is not None
