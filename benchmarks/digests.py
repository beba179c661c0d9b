"""Digests of what a store holds, to see that a change of the sources changed no result.

    python -m benchmarks.digests STORE > before.txt      # trained by one commit
    python -m benchmarks.digests OTHER | diff before.txt -

A line for each stage's weights and predictions, for each run's `results.json` and each comparison's table of seeds.
Left out is what may differ without a difference in the results: keys, which hash the sources, times, memory, versions.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

LEFT_OUT = ("key", "run", "new", "seconds", "memory", "versions", "date", "folder", "stages before")


def main() -> None:
    root = Path(sys.argv[1])
    for run in sorted(root.glob("*/results.json")):
        for line in of_run(run.parent):
            print(line)
    for comparison in sorted(root.glob("*/comparison.json")):
        print(f"{called(comparison.parent)} table {of_table(comparison.parent)}")


def of_run(run: Path) -> Iterator[str]:
    results = json.loads((run / "results.json").read_text("utf-8"))
    yield f"{called(run)} results {digest(json.dumps(plain(results), sort_keys=True).encode())}"
    for stage in results["stages"]:
        for file in ("weights", "predictions", "best"):
            path = run.parent / "stages" / stage["key"] / f"{file}.safetensors"
            if path.is_file():
                tensors = load_file(path)
                content = b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
                yield f"{called(run)} {stage['stage']} {file} {digest(content)}"


def of_table(folder: Path) -> str:
    from sslkit.harness import load

    frame = load(folder).drop(columns=[name for name in LEFT_OUT if name in load(folder)])
    return digest(frame.to_csv(index=False).encode())


def plain(value: Any) -> Any:
    """JSON without what may differ."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name not in LEFT_OUT}
    return [plain(inner) for inner in value] if isinstance(value, list) else value


def called(folder: Path) -> str:
    """A run's name without the end that hashes its configuration."""
    return folder.name.rpartition("-")[0]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


if __name__ == "__main__":
    main()
