"""All harms on a real Slurm, and what cannot be done in minutes: `python -m tests.cluster [acct] [NAME …]`.

Needs root and Debian. Names are those of harms, and `limit`, `kills`, `seconds`; all of them without a name.
"""

from __future__ import annotations

import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.cluster import harms, real
from tests.cluster.real import Comparison, tell

KILLS = 50


def limit(place: Path) -> str:
    made = harms.Limit(place)
    return f"{made.end()} requeues, weights bit-equal"


def kills(place: Path) -> str:
    """kill -9 at random moments, of the driver and of jobs, over as many comparisons as it takes."""
    draw, done, words = random.Random(0), Counter[str](), ["--seeds", "3", "--set", "semi.steps=30", "--keep"]
    here, rounds = Comparison(place / "here", words), 0
    here.run(here=True)
    while done.total() < KILLS:
        rounds += 1
        found = Comparison(place / str(rounds), words, slow=0.3)
        _kill(found, draw, done)
        real.assert_equal(found, here)
        real.assert_same_weights(found, here)
        twice = {name: n for name, n in found.trained().items() if n > 1}
        assert not twice, twice
    told = ", ".join(f"{n} of {what}" for what, n in done.items())
    return (
        f"kills: {told}, over {rounds} comparisons; no stage trained twice to its end, nothing lost, weights bit-equal"
    )


def _kill(found: Comparison, draw: random.Random, done: Counter[str]) -> None:
    """One comparison, to its end without an error."""
    driver = found.start()
    while True:
        end = time.monotonic() + draw.uniform(2, 20)
        while driver.poll() is None and (time.monotonic() < end or done.total() >= KILLS):
            time.sleep(0.1)
        if driver.returncode is not None:
            driver.communicate()
            if driver.returncode == 0 and not found.values()["error"].any():
                return
            driver = found.start()
            continue
        running = found.tasks("RUNNING")
        if running and draw.random() < 0.6:
            tell("scancel", "--signal=KILL", "--full", draw.choice(running))
            done["jobs"] += 1
        else:
            driver.kill()
            driver.communicate()
            done["the driver"] += 1
            driver = found.start()


def seconds(place: Path) -> str:
    """Node-seconds of the jobs over those that their stages took; four arms, stages of two minutes, four at once."""
    words = ["--algo", "fixmatch,flexmatch,freematch,softmatch", "--seeds", "2", "--set", "semi.steps=60"]
    made = Comparison(place, words, slow=0.7, bundle=4)
    made.run()
    told = [tell("scontrol", "show", "job", "-o", job) for job in made.tasks("all")]
    spent = [
        int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in re.findall(r"RunTime=(\d+):(\d+):(\d+)", "".join(told))
    ]
    stages = [int(n) for n in re.findall(r": finished, (\d+) s", made.logs())]
    return (
        f"{len(stages)} stages, {sum(stages)} s, in {len(spent)} jobs, {sum(spent)} s: {sum(spent) / sum(stages):.3f}"
    )


def main(words: list[str]) -> int:
    accounting = "acct" in words
    names = [word for word in words if word != "acct"]
    more: list[Callable[[Path], str]] = [limit, kills, seconds]
    wanted = names or [one.__name__ for one in (*harms.HARMS, *more)]
    real.stop()
    real.start(accounting, CPUS=4, MEM=8000, DEFMEM=1500, MINJOBAGE=3600)
    print(tell("sinfo", "--version").strip(), "with accounting" if accounting else "without accounting", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        here = Comparison(Path(folder) / "here", real.SHORT)
        here.run(here=True)
        for name in wanted:
            began = time.monotonic()
            try:
                said = _one(name, Path(folder), here, more)
            except (AssertionError, subprocess.SubprocessError, StopIteration) as error:
                failed += 1
                said = f"FAILED: {error}"
            print(f"{name}: {said} ({time.monotonic() - began:.0f} s)", flush=True)
    real.stop()
    return int(bool(failed))


def _one(name: str, folder: Path, here: Comparison, more: list[Callable[[Path], str]]) -> str:
    for harm in harms.HARMS:
        if harm.__name__ == name:
            real.assert_equal(harm(folder / name), here)
            return "the same table"
    return next(one for one in more if one.__name__ == name)(folder / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
