"""A process that claims, for the tests: python -m tests.store.claiming WHAT ROOT …; it prints what happens.

race ROOT COUNT: claims all of COUNT names, each in turn, and says who else was there meanwhile.
hold ROOT NAME: claims it and sleeps.
wait ROOT NAME: claims it as soon as that can be, and ends a moment later without another word.
work ROOT KEY: works on a stage, and publishes it when a line comes.
--elsewhere in front makes it a process of another machine; heartbeats are then as quick as --beat SECONDS says.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from pathlib import Path

from sslkit.errors import UserError
from sslkit.store import Store, claims, owners
from sslkit.store.claims import Claim
from sslkit.store.files import write_text


def say(*words: object) -> None:
    print(*words, flush=True)


def race(root: Path, count: str) -> None:
    names = [f"n{i}" for i in range(int(count))]
    random.shuffle(names)
    for name in names:
        with Claim(root, name):
            try:
                inside = os.open(root / name, os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                say("two hold", name)
                return
            os.close(inside)
            time.sleep(random.random() / 1000)
            os.unlink(root / name)
        say("held", name)


def hold(root: Path, name: str) -> None:
    with Claim(root, name):
        say("held")
        time.sleep(600)


def wait(root: Path, name: str) -> None:
    with Claim(root, name) as claim:
        say("held", claim.stalled)
        time.sleep(600)


def work(root: Path, key: str) -> None:
    store = Store(root)
    store.prepare()
    with store.working(key, lambda: say("waits")) as folder:
        if folder is None:
            say("finished")
        else:
            with (folder / "metrics.jsonl").open("a") as log:
                say("works")
                sys.stdin.readline()
                log.write(f"{os.getpid()}\n")
            write_text(folder / "result.json", f"{os.getpid()}")
    say("published")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--beat", type=float, default=claims.BEAT)
    parser.add_argument("what")
    parser.add_argument("words", nargs="*")
    given = parser.parse_args()
    claims.BEAT, claims.PATIENCE = given.beat, 10 * given.beat
    if given.elsewhere:
        owners.machine = lambda: f"{os.getpid():08x}"  # type: ignore[assignment]
    root, *words = given.words
    try:
        {"race": race, "hold": hold, "wait": wait, "work": work}[given.what](Path(root), *words)
    except UserError as error:
        say("error:", error)


if __name__ == "__main__":
    main()
