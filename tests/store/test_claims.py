"""Claims, by real processes: one holds, the dead are known, who stood still publishes nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sslkit.errors import Lost, UserError
from sslkit.store import Store, claims, is_store, owners
from sslkit.store.claims import FOLDER, Claim, held
from sslkit.store.files import replacing

Started = subprocess.Popen[str]
Start = Callable[..., Started]
BEAT = 0.05  # seconds, of processes of another machine; they are given up after ten


@pytest.fixture(autouse=True)
def _release() -> Iterator[None]:
    yield
    for claim in list(claims._held):
        claim.release()


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `tests.store.claiming`; what is left at the end is killed."""
    started: list[Started] = []
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}

    def begin(*words: object) -> Started:
        line = [sys.executable, "-m", "tests.store.claiming", *map(str, words)]
        started.append(
            subprocess.Popen(line, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def said(process: Started) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def told(process: Started) -> None:
    """Tell it to go on."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def claim_of(root: Path, name: str) -> list[str]:
    return os.listdir(root / FOLDER / name)


def fake(root: Path, name: str, owner: str) -> None:
    (root / FOLDER / name).mkdir(parents=True)
    (root / FOLDER / name / owner).touch()


@pytest.mark.slow
def test_of_processes_that_race_one_holds_each_claim_at_a_time(tmp_path: Path, start: Start) -> None:
    racing = [start("race", tmp_path, 200) for _ in range(5)]
    lines = [process.communicate(timeout=120)[0].splitlines() for process in racing]
    assert [sorted(found) for found in lines] == [sorted(f"held n{i}" for i in range(200))] * 5
    assert not list((tmp_path / FOLDER).iterdir())


def test_a_claim_is_held_by_one_and_free_again_and_forgotten(tmp_path: Path) -> None:
    first, second = Claim(tmp_path, "a"), Claim(tmp_path, "a")
    assert not held(tmp_path, "a")
    assert first.take()
    assert held(tmp_path, "a")
    assert not second.take(), "nor by another one of the same process"
    assert Claim(tmp_path, "b").take()
    first.release()
    assert not held(tmp_path, "a")
    assert second.take()
    assert not second.stalled
    second.release()
    assert os.listdir(tmp_path / FOLDER) == ["b"]


@pytest.mark.slow
def test_what_a_killed_process_held_is_taken_at_once(tmp_path: Path, start: Start) -> None:
    holder = start("hold", tmp_path, "a")
    assert said(holder) == "held"
    assert held(tmp_path, "a")
    claim = Claim(tmp_path, "a")
    assert not claim.take()
    holder.kill()
    while Path(f"/proc/{holder.pid}/stat").is_file() and ") Z " not in Path(f"/proc/{holder.pid}/stat").read_text():
        time.sleep(0.001)
    assert not held(tmp_path, "a"), "a zombie, of which nobody has asked how it ended"
    holder.wait()
    assert not held(tmp_path, "a")
    begun = time.monotonic()
    claim.wait()
    assert time.monotonic() - begun < claims.BEAT / 5
    assert not claim.stalled, "it cannot come back"


def test_a_process_that_got_the_number_of_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    host, machine, pid, begun, *rest = owners.this_process().split("~")
    assert owners.started(int(pid)) == begun
    fake(tmp_path, "alive", "~".join([host, machine, pid, begun, *rest]))
    fake(tmp_path, "reused", "~".join([host, machine, pid, f"{begun}1", *rest]))
    fake(tmp_path, "gone", "~".join([host, machine, "4194303", begun, *rest]))
    fake(tmp_path, "elsewhere", "~".join([host, "ffffffff", pid, f"{begun}1", *rest]))
    fake(tmp_path, "strange", ".DS_Store")
    assert {n: Claim(tmp_path, n).take() for n in ("alive", "reused", "gone", "elsewhere", "strange")} == {
        "alive": False, "reused": True, "gone": True, "elsewhere": False, "strange": False
    }  # fmt: skip


def test_without_proc_ps_tells_when_a_process_began(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on macOS."""
    monkeypatch.setattr(owners, "PROC", tmp_path / "none")
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        begun, mine = owners.started(sleeper.pid), owners.started(os.getpid())
        assert begun
        assert begun == owners.started(sleeper.pid)
        assert "~" not in begun + mine
        sleeper.kill()
        while ") Z " not in Path(f"/proc/{sleeper.pid}/stat").read_text():
            time.sleep(0.001)
        assert owners.started(sleeper.pid) == "", "a zombie"
    finally:
        sleeper.kill()
        sleeper.wait()
    assert owners.started(sleeper.pid) == ""
    assert not owners.dead(owners.this_process())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert owners.started(os.getpid()) == owners.UNKNOWN
    assert not owners.dead(owners.this_process()), "nothing is known of it, so heartbeats tell"


@pytest.mark.slow
def test_what_another_machine_held_is_taken_when_its_heart_stops_by_one_of_three(tmp_path: Path, start: Start) -> None:
    holder = start("--elsewhere", "--beat", BEAT, "hold", tmp_path, "a")
    assert said(holder) == "held"
    before = claim_of(tmp_path, "a")
    waiting = [start("--elsewhere", "--beat", BEAT, "wait", tmp_path, "a") for _ in range(3)]
    time.sleep(1 + 20 * BEAT)
    assert claim_of(tmp_path, "a") != before, "a heartbeat changes it"
    assert claim_of(tmp_path, "a")[0].rpartition("~")[0] == before[0].rpartition("~")[0], "while it beats it is its own"
    holder.kill()
    taken: list[Started] = []
    for _ in range(3):  # each of them is killed when it has it
        ready = [p for p in waiting if p not in taken]
        while not (owner := [p for p in ready if f"~{p.pid}~" in claim_of(tmp_path, "a")[0]]):
            time.sleep(BEAT)
        assert said(owner[0]) == "held True", "it might have woken"
        time.sleep(20 * BEAT)
        assert f"~{owner[0].pid}~" in claim_of(tmp_path, "a")[0], "and no other one"
        owner[0].kill()
        taken += owner
    assert [said(p) for p in waiting] == [""] * 3


@pytest.mark.slow
def test_who_stood_still_publishes_nothing_when_it_wakes(tmp_path: Path, start: Start) -> None:
    sleeper = start("--elsewhere", "--beat", BEAT, "work", tmp_path, "k")
    assert said(sleeper) == "works"
    sleeper.send_signal(signal.SIGSTOP)
    other = start("--elsewhere", "--beat", BEAT, "work", tmp_path, "k")
    assert said(other) == "waits"
    assert said(other) == "works", "from what the first one left"
    sleeper.send_signal(signal.SIGCONT)
    told(sleeper)
    assert said(sleeper).startswith("error: this process stood still for 0.5 seconds or more, so another one has taken")
    told(other)
    assert said(other) == "published"
    assert (tmp_path / "stages/k/result.json").read_text() == str(other.pid)
    assert (tmp_path / "stages/k/metrics.jsonl").read_text() == f"{other.pid}\n", "what it had open is not this file"
    again = start("work", tmp_path, "k")
    assert (said(again), said(again)) == ("finished", "published")
    assert not [path for path in (tmp_path / "stages").iterdir() if path.name != "k"]
    assert not os.listdir(tmp_path / FOLDER)


def test_a_lost_claim_is_known_at_the_next_write_and_is_not_released(tmp_path: Path) -> None:
    store, other = Store(tmp_path), "other~1~2~3~4~0"
    store.prepare()

    def taken_over_within_a_write(folder: Path) -> None:
        with replacing(folder / "written meanwhile") as temporary:
            temporary.touch()
            (owner,) = claim_of(tmp_path, "k")
            os.rename(tmp_path / FOLDER / "k" / owner, tmp_path / FOLDER / "k" / other)

    def train() -> None:
        with store.working("k", lambda: None) as folder:
            assert folder
            (folder / "result.json").write_text("{}")
            (folder / "checkpoint-1.safetensors").touch()
            with pytest.raises(Lost):
                taken_over_within_a_write(folder)
            with pytest.raises(Lost), replacing(folder / "written after"):
                pytest.fail("is begun")

    with pytest.raises(Lost):
        train()
    assert claim_of(tmp_path, "k") == [other]
    left = sorted(os.listdir(tmp_path / "stages/.k"))
    assert left == ["checkpoint-1.safetensors", "result.json"], "the other one may go on from it"
    assert not store.finished("k")
    claims.check()


def test_who_waits_and_stood_still_itself_takes_nothing_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path, "a", "other~1~2~3~4~0")
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert held(tmp_path, "a")
    for _ in range(int(claims.PATIENCE / claims.BEAT)):
        now += 3600
        assert held(tmp_path, "a"), "one look after an hour is one heartbeat that did not come"
    now += 3600
    assert not held(tmp_path, "a")
    os.rename(tmp_path / FOLDER / "a/other~1~2~3~4~0", tmp_path / FOLDER / "a/other~1~2~3~4~1")
    assert held(tmp_path, "a")


def test_what_kills_left_is_swept_and_what_is_alive_stays(tmp_path: Path) -> None:
    host, machine, pid, begun, *rest = owners.this_process().split("~")
    dead = "~".join([host, machine, pid, f"{begun}1", *rest])
    fake(tmp_path, ".n.node.example.org~" + dead.partition("~")[2], dead)  # in the middle of claiming
    fake(tmp_path, "held by the dead", dead)
    fake(tmp_path, "elsewhere", "other~1~2~3~4~0")
    (tmp_path / FOLDER / "released").mkdir()  # killed before the folder was removed
    mine = Claim(tmp_path, "mine")
    assert mine.take()
    assert Claim(tmp_path, "released").take()
    Store(tmp_path).prepare()
    assert sorted(os.listdir(tmp_path / FOLDER)) == ["elsewhere", "mine", "released"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_one_line(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", fails)
    with pytest.raises(UserError, match=f"cannot write .*{FOLDER}: .*{os.strerror(code)}"):
        Claim(tmp_path, "a").take()
    assert not os.listdir(tmp_path / FOLDER)


def test_stores_of_earlier_versions_go_on(tmp_path: Path) -> None:
    """Their locks were files that stayed."""
    store = Store(tmp_path)
    store.stages.mkdir()
    (tmp_path / ".lock").touch()
    assert is_store(tmp_path)
    (store.stages / ".k.lock").touch()
    assert not store.held("k")
    with store.working("k", lambda: pytest.fail("waits")) as folder:
        assert folder
        (folder / "result.json").write_text("{}")
    assert os.listdir(store.stages) == ["k"]
    (tmp_path / ".lock").unlink()
    (store.stages / "k/result.json").unlink()
    (store.stages / "k").rmdir()
    assert is_store(tmp_path), "a store without a stage, by its claims"
