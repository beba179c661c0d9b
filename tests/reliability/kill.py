"""Kill training with SIGKILL, start it again until it ends, and compare it with runs left alone, bit for bit.

    python tests/reliability/kill.py --kills 20 --seed 1

Every algorithm is run once undisturbed; then again elsewhere, killed at moments drawn from the seed, which is
printed, and started again by the same command. With --warm the workers are forked from this process after its
imports, which spares each of them several seconds; a kill of a fork is as real.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ALGORITHMS = ("supervised", "fixmatch", "flexmatch", "mean_teacher", "ema_teacher")
STEPS = ("finetune.steps=20", "semi.steps=30", "finetune.batch=8", "semi.batch=8", "semi.mu=2")
POINTS = ("checkpoint", "random", "final", "random", "start", "random", "between", "random")  # dealt in turn
TRIES = 20  # to hit a moment that can be missed


@dataclass(frozen=True)
class Moment:
    """When to kill.

    start: in the imports and preparations; checkpoint, final: inside the write of a checkpoint, of the last weights
    or predictions; between: when a stage is published and the next not begun; random: any time of training.
    """

    point: str
    share: float  # in [0, 1): which stage, or how far into the time that is left


@dataclass
class Quiet:
    """An undisturbed run."""

    root: Path
    start: float  # seconds before training
    train: float  # seconds of training


def command(algorithm: str, root: Path) -> list[str]:
    chosen = ["run", "--algo", algorithm, "--backbone", "vit_micro", "--threads", "1", "--save-every", "0"]
    chosen += ["--precision", "fp32"]
    if algorithm == "flexmatch":  # a state that changes within so few steps
        chosen += ["--set", "labeler.tau=0.3"]
    return [*chosen, "--runs", str(root), *(word for key in STEPS for word in ("--set", key))]


class Spawned:
    """`python -m sslkit …` as a process of its own."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        with log.open("ab") as file:
            line = [sys.executable, "-m", "sslkit", *arguments]
            self._process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Exit code, the negative signal, or None while it runs."""
        return self._process.poll()


class Forked:
    """The same in a fork of this process."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self._code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, log)

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def _become(arguments: Sequence[str], log: Path) -> None:
    code = 70
    try:
        with log.open("ab") as file:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
        from sslkit.cli import main

        code = main(list(arguments))
        sys.stdout.flush()
    finally:
        os._exit(code)


def warm_up() -> None:
    """Import what a run imports. One thread only, as a fork does not inherit the others."""
    import torch
    import torch.utils.tensorboard

    torch.set_num_threads(1)
    from sklearn.metrics import f1_score  # noqa: F401

    from sslkit import pipeline, registry  # noqa: F401

    for kind in registry.KINDS:
        for entry in registry.entries(kind):
            registry.load(kind, entry.name)


def deal(kills: int, seed: int) -> dict[str, list[Moment]]:
    """The moments of every algorithm."""
    draw = random.Random(seed)
    dealt: dict[str, list[Moment]] = {name: [] for name in ALGORITHMS}
    for i in range(kills):
        dealt[ALGORITHMS[i % len(ALGORITHMS)]].append(Moment(POINTS[i % len(POINTS)], draw.random()))
    return dealt


class Killer:
    """Starts workers of one algorithm, kills them, and keeps count."""

    def __init__(self, worker: type[Spawned] | type[Forked], log: Path) -> None:
        self.worker, self.log = worker, log

    def quiet(self, algorithm: str, root: Path) -> Quiet:
        begun = time.perf_counter()
        self._finish(algorithm, root)
        train = sum(row["seconds"] for row in results(root)["stages"])
        return Quiet(root, time.perf_counter() - begun - train, train)

    def batter(self, algorithm: str, moments: Sequence[Moment], quiet: Quiet, folder: Path) -> list[tuple[Path, int]]:
        """Kill at every moment, in as many runs as that takes; (root, kills) of each, all ended."""
        runs: list[tuple[Path, int]] = []
        root, kills, tries = folder / "0", 0, 0
        waiting = list(moments)
        while waiting:
            hit = self._strike(algorithm, waiting[0], quiet, root)
            kills, tries = (kills + 1, 0) if hit else (kills, tries + 1)
            if hit:
                print(f"  killed {algorithm} at {waiting.pop(0)}", flush=True)
            elif finished(root):  # ended before: the machine is faster than it was when the quiet run was timed
                quiet.train = min(quiet.train, sum(row["seconds"] for row in results(root)["stages"]))
            if tries > TRIES:
                raise SystemExit(f"{waiting[0]} was not hit in {TRIES} tries")
            if finished(root):  # too late for what is left: that is for another run
                runs.append((root, kills))
                root, kills = folder / str(len(runs)), 0
        if kills:
            self._finish(algorithm, root)
            runs.append((root, kills))
        return runs

    def _finish(self, algorithm: str, root: Path) -> None:
        worker = self.worker(command(algorithm, root), self.log)
        while (code := worker.poll()) is None:
            time.sleep(0.01)
        self._check(code, allowed=(0,))

    def _strike(self, algorithm: str, moment: Moment, quiet: Quiet, root: Path) -> bool:
        """Start, kill at the moment; whether it was hit."""
        worker = self.worker(command(algorithm, root), self.log)
        before, stages = len(published(root)), len(published(quiet.root))
        wanted = max(before, int(moment.share * stages))  # stages published before a named point counts
        begun = trained = time.perf_counter()
        delay = moment.share * (quiet.start if moment.point == "start" else quiet.train * (1 - before / stages))
        while worker.poll() is None:
            now = time.perf_counter()
            if not working(root):
                trained = now
            due = {
                "start": now - begun > delay,
                "random": now - trained > delay,
                "between": len(published(root)) > wanted,
                "checkpoint": len(published(root)) >= wanted and being_written(root, worker.pid, "checkpoint"),
                "final": len(published(root)) >= wanted and being_written(root, worker.pid, "weights", "predictions"),
            }
            if due[moment.point]:
                os.kill(worker.pid, signal.SIGKILL)
                break
            time.sleep(0.0003)
        while (code := worker.poll()) is None:
            time.sleep(0.001)
        self._check(code, allowed=(0, -signal.SIGKILL))
        inside = {
            "between": not working(root),
            "checkpoint": being_written(root, worker.pid, "checkpoint"),
            "final": being_written(root, worker.pid, "weights", "predictions"),
        }
        return code == -signal.SIGKILL and bool(inside.get(moment.point, True))

    def _check(self, code: int, allowed: Sequence[int]) -> None:
        if code not in allowed:
            raise SystemExit(f"a worker ended with {code}:\n" + self.log.read_text("utf-8", "replace")[-3000:])


def published(root: Path) -> list[Path]:
    return [path.parent for path in root.glob("stages/[!.]*/result.json")]


def working(root: Path) -> list[Path]:
    return [path for path in root.glob("stages/.*") if path.is_dir()]


def being_written(root: Path, pid: int, *names: str) -> bool:
    return any(True for name in names for _ in root.glob(f"stages/.*/.{name}*.{pid}.tmp"))


def finished(root: Path) -> bool:
    return any(True for _ in root.glob("*/results.json"))


def results(root: Path) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = json.loads(next(root.glob("*/results.json")).read_text("utf-8"))
    return found


def differences(quiet: Path, other: Path) -> list[str]:
    """What two finished stores have that is not equal, to the bit; and what a killed run left lying about."""
    stages = json.loads(next(quiet.glob("*/run.json")).read_text("utf-8"))["stages"]
    found = []
    if json.loads(next(other.glob("*/run.json")).read_text("utf-8"))["stages"] != stages:
        found.append("the stages have other keys")
    for label, key in stages.items():
        for name in ("weights.safetensors", "predictions.safetensors"):
            if (quiet / "stages" / key / name).read_bytes() != (other / "stages" / key / name).read_bytes():
                found.append(f"{name} of {label}")
        extra = [p.name for p in (other / "stages" / key).iterdir() if p.name.startswith((".", "checkpoint-"))]
        found += [f"{name} was left in {label}" for name in extra]
    return found + [f"{path.name} was left in stages/" for path in working(other)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--warm", action="store_true", help="fork the workers from this process")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print(f"seed {given.seed}, {given.kills} kills", flush=True)
    if given.warm:
        warm_up()
    bad, count, most = 0, Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Forked if given.warm else Spawned, Path(folder) / "log")
        for algorithm, moments in deal(given.kills, given.seed).items():
            if not moments:
                continue
            quiet = killer.quiet(algorithm, Path(folder) / algorithm / "quiet")
            for root, kills in killer.batter(algorithm, moments, quiet, Path(folder) / algorithm):
                apart = differences(quiet.root, root)
                print(f"{algorithm}: {kills} kills, {'; '.join(apart) or 'equal to the bit'}", flush=True)
                bad, most = bad + bool(apart), max(most, kills)
            count.update(moment.point for moment in moments)
    print(f"kills {dict(count)}, at most {most} in one run; runs that differ: {bad}")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
