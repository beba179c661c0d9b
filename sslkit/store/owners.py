"""Who a process is, for others to know whether it still runs: HOST~MACHINE~PID~START~NONCE, and a count behind it.

MACHINE is of a host since it was switched on, and of the numbers that it knows processes by; START tells a process from
a later one of the same number.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import secrets
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

PROC = Path("/proc")
UNKNOWN = "?"


def dead(owner: str) -> bool:
    """Whether a process of this machine, as the name of its file tells it, has ended; of others that is not known."""
    try:
        _, where, pid, start, _, _ = owner.split("~")
        number = int(pid)
    except ValueError:  # no file of ours
        return False
    if where != machine():
        return False
    if found := started(number):
        return found != start and UNKNOWN not in (found, start)
    try:
        os.kill(number, 0)  # /proc may hide processes of other users
    except PermissionError:
        return False
    except ProcessLookupError:
        return True
    return True  # a zombie


def started(pid: int) -> str:
    """When a living process was started, in the words of the system: a number may be given anew. "" where it ended."""
    if not PROC.is_dir():
        told = _told("ps", "-o", "stat=,lstart=", "-p", str(pid))
        state, _, words = told.strip().partition(" ")
        if state == UNKNOWN:
            return UNKNOWN
        return "" if state[:1] in ("Z", "") else re.sub(r"\W+", "-", words.strip())
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError:
        return UNKNOWN
    state, *others = text.rpartition(")")[2].split()
    return "" if state in "ZX" else others[18]  # zombies have ended; fields 3 and 22 of the manual


def _told(*line: str) -> str:
    """What a program of the system prints; "?" where there is no such program."""
    try:
        words = {"LC_ALL": "C", "TZ": "UTC"}
        found = subprocess.run(line, check=False, env=os.environ | words, capture_output=True, text=True)
    except OSError:
        return UNKNOWN
    return found.stdout


@cache
def machine() -> str:
    """8 hexadecimal digits of what MACHINE is."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text("utf-8")
    except OSError:
        told = _told("sysctl", "-n", "kern.bootsessionuuid")  # macOS
        boot = told.strip(f"{UNKNOWN}\n") or secrets.token_hex()  # each is then alone, and heartbeats tell
    space = ""
    with suppress(OSError):
        space = os.readlink(PROC / "self/ns/pid")  # containers count processes by themselves
    return hashlib.sha256(f"{platform.node()} {boot} {space}".encode()).hexdigest()[:8]


def this_process() -> str:
    """Its name, the count at 0; another one with each call."""
    host = re.sub(r"[^\w.-]", "", platform.node(), flags=re.ASCII)[:60]
    return f"{host}~{machine()}~{os.getpid()}~{started(os.getpid())}~{secrets.token_hex(4)}~0"
