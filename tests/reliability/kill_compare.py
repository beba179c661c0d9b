"""Kill two comparisons that share a store, and their workers, at random moments; what they leave is as without.

    python -m tests.reliability.kill_compare --kills 50 --seed 1

The same `sslkit compare --jobs 2` runs twice at once. Any of the processes is killed with SIGKILL, and who has ended is
started again by the same command, until both end well; then in another store, until there were so many kills. With
--warm all are forked from this process after its imports, which spares each of them several seconds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from sslkit.harness.work import execute
from sslkit.store import claims
from tests.reliability.kill import Forked, warm_up

ROOT = Path(__file__).parents[2]
COMPARE = [
    *("compare", "--algo", "fixmatch,flexmatch", "--backbone", "vit_micro", "--keep", "--set", "precision=fp32"),
    *("--set", "finetune.steps=30", "--set", "finetune.batch=8", "--set", "semi.steps=60", "--set", "semi.batch=8"),
    *("--set", "semi.mu=2", "--set", "labeler.tau=0.3"),
]
enter = execute._enter
context = multiprocessing.get_context("fork")
Started = subprocess.Popen[bytes] | Forked
TRIES = 40  # starts of a comparison in one store


def _enter(number: Any) -> None:
    """A worker that is spawned has not the comparison's handler, which a fork inherits."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    enter(number)


class Starter:
    """Starts comparisons, each as a process of its own or, warm, as a fork of this one."""

    def __init__(self, seeds: int, warm: bool) -> None:
        self.words = [*COMPARE, "--seeds", str(seeds), "--jobs", "2"]
        self.warm = warm
        if warm:
            warm_up()
            import_module("sslkit.harness.work.request")
            import_module("tests.reliability.compared")
            multiprocessing.get_context = lambda method=None: context  # type: ignore[assignment]
            execute._enter = _enter

    def __call__(self, root: Path) -> Started:
        os.environ["TRAINED"] = str(root.with_suffix(".trained"))
        line = [*self.words, "--runs", str(root)]
        if self.warm:
            return Forked(line, root.with_suffix(".log"))
        command = [sys.executable, "-m", "tests.reliability.compared", *line]
        named = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        with root.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(command, env=os.environ | named, cwd=ROOT, stdout=log, stderr=log)


def workers(*parents: int) -> list[int]:
    """The processes that these have started, and which still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = path.read_text("utf-8", "replace").rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) in parents and rest.split()[0] != "Z":
            found.append(int(name.split()[0]))
    return found


def training(root: Path) -> bool:
    """Whether a stage is worked on just now."""
    names = [path.name for path in (root / claims.FOLDER).glob("[!.]*") if path.name != "store"]
    return any(claims.held(root, name) for name in names)


def kill_one(running: list[Started], draw: random.Random) -> str:
    """Kill a comparison or a process of one; what it was."""
    parents = [process.pid for process in running if process.poll() is None]
    kind, pids = draw.choice([("comparison", parents), ("worker", workers(*parents)), ("worker", workers(*parents))])
    if not pids:
        return ""
    try:
        os.kill(draw.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return ""
    return kind


def batter(root: Path, start: Starter, kills: int, pause: float, draw: random.Random) -> Counter[str]:
    """Kill at most so often, until both have ended well; what was killed, and whether a stage was worked on."""
    done, starts, due = Counter[str](), 2, 0.0
    running = [start(root), start(root)]
    while any(process.poll() != 0 for process in running):
        time.sleep(0.02)
        for i, process in enumerate(running):
            if process.poll() not in (None, 0):
                running[i], starts = start(root), starts + 1
        if starts > TRIES + 2 * kills:
            raise SystemExit(f"it does not end:\n{root.with_suffix('.log').read_text('utf-8', 'replace')[-3000:]}")
        if due == 0 and (training(root) or draw.random() < 0.0002):  # most in training, some while all begins
            due = time.monotonic() + draw.random() * pause
        if due and time.monotonic() > due and done.total() < kills:
            within, due = " in training" * training(root), 0.0
            done.update(f"{kind}{within}" for kind in [kill_one(running, draw)] if kind)
    return done


def differences(quiet: Path, other: Path) -> list[str]:
    """What a store that was killed in has not, or has twice, or has otherwise than one left alone."""
    trained = Counter(other.with_suffix(".trained").read_text("utf-8").split())
    found = [f"{key} was trained to its end {n} times" for key, n in trained.items() if n > 1]
    keys = [{path.name for path in (root / "stages").iterdir()} for root in (quiet, other)]
    found += [f"{key} is in one store only" for key in keys[0] ^ keys[1]]
    for key in keys[0] & keys[1]:
        for name in ("weights.safetensors", "predictions.safetensors"):
            if (quiet / "stages" / key / name).read_bytes() != (other / "stages" / key / name).read_bytes():
                found.append(f"{name} of {key}")
    found += [f"{path} is left" for path in (other / claims.FOLDER).glob("*")]
    return found


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=4, help="of the comparison")
    parser.add_argument("--pause", type=float, default=3.0, help="seconds of training, at most, from kill to kill")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31), help="of the moments")
    parser.add_argument("--warm", action="store_true", help="fork all from this process")
    given = parser.parse_args(words)
    os.environ["OMP_NUM_THREADS"] = "1"
    start = Starter(given.seeds, given.warm)
    draw, killed, bad, begun = random.Random(given.seed), Counter[str](), 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        quiet, number = Path(folder) / "quiet", 0
        alone = start(quiet)
        while (code := alone.poll()) is None:
            time.sleep(0.1)
        if code:
            raise SystemExit(quiet.with_suffix(".log").read_text("utf-8"))
        while killed.total() < given.kills:
            other, number = Path(folder) / str(number), number + 1
            done = batter(other, start, given.kills - killed.total(), given.pause, draw)
            apart = differences(quiet, other)
            print(f"store {number}: killed {dict(done)}; {'; '.join(apart) or 'equal to the bit'}", flush=True)
            killed, bad = killed + done, bad + bool(apart)
    print(f"seed {given.seed}: {killed.total()} kills, {dict(killed)}, in {number} stores: {bad} differ; "
          f"{time.monotonic() - begun:.0f} s")  # fmt: skip
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
