"""Kill a run in its middle, give the same command again, and ask each tracker what it has.

    python -m tests.trackers [--kills 3] [tensorboard mlflow wandb trackio]

For every tracker: a run of three stages is killed with SIGKILL while its log has rows that no checkpoint stands behind,
and is started again until it ends. Then the tracker's own reader says how many runs it has, and its figures are
compared with the logs of the stages, row by row. wandb is offline.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.trackers.readers import READERS, differences, expected, there

LINES = 4  # rows of an unfinished stage at the least, when it is killed
COMMAND = [*("--algo", "fixmatch", "--backbone", "vit_micro", "--threads", "1", "--control", "--save-every", "0.5")]
COMMAND += [*("--set", "finetune.steps=100", "--set", "semi.steps=150", "--set", "semi.mu=2")]
COMMAND += [*("--set", "finetune.batch=8", "--set", "semi.batch=8")]
DISTRIBUTION = {"mlflow": "mlflow-skinny"}


def start(runs: Path, tracker: str) -> subprocess.Popen[bytes]:
    with (runs.parent / "said").open("ab") as said:
        line = [sys.executable, "-m", "sslkit", "run", *COMMAND, "--runs", str(runs), "--track", tracker]
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said)


def killed(runs: Path, tracker: str) -> bool:
    """Start, and kill when a stage that no earlier try has reached is in its middle; False where the run ends first."""
    before = {path.name for path in (runs / "stages").glob("[!.]*")}
    process = start(runs, tracker)
    while process.poll() is None:
        for log in (runs / "stages").glob(".*/metrics.jsonl"):
            checkpoints = [*log.parent.glob("checkpoint-*")]
            published = {path.name for path in (runs / "stages").glob("[!.]*")}
            rows = log.read_bytes().count(b"\n")
            if checkpoints and rows >= LINES and rows % 5 == 4 and (not before or published >= before):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                return True
        time.sleep(0.001)
    return False


def battered(tracker: str, kills: int, folder: Path) -> str:
    runs, count = folder / "runs", 0
    os.environ |= {"TRACKIO_DIR": str(folder / "trackio"), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
    while count < kills and killed(runs, tracker):
        count += 1
    code = start(runs, tracker).wait()
    if code:
        return f"ended with {code}: {(folder / 'said').read_text()[-2000:]}"
    want = expected(runs)
    rows = sum(len(values) for name, values in want.items() if name.endswith("/step"))
    apart = differences(runs, tracker)
    version = importlib.metadata.version(DISTRIBUTION.get(tracker, tracker))
    values = sum(map(len, want.values()))
    return (
        f"{version}: {count} kills, {'; '.join(apart) or f'1 run, its {values} values in {rows} rows are those logged'}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("trackers", nargs="*", choices=[*READERS, []])
    parser.add_argument("--kills", type=int, default=3)
    given = parser.parse_args()
    bad = 0
    for tracker in given.trackers or filter(there, READERS):
        with tempfile.TemporaryDirectory() as folder:
            said = battered(tracker, given.kills, Path(folder))
        print(f"{tracker} {said}", flush=True)
        bad += "1 run, its" not in said
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
