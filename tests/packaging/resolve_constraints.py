"""Does constraints.txt resolve from wheels alone, for every Python and platform that sslkit is for?

    .venv/bin/python tests/packaging/resolve_constraints.py            # all twelve; needs the network
    .venv/bin/python tests/packaging/resolve_constraints.py 3.14 macos # those whose name holds all the words

Nothing is installed: this is pip's own `--dry-run --only-binary=:all: --python-version --platform`, run once a
combination. pip evaluates markers such as `sys_platform == "linux"` for the machine it runs on even when it is asked
about another, so it is started with the other machine's markers. The packages that have no pin, CUDA's apart, are an
error: a direct or transitive dependency was forgotten.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
CUDA = re.compile(r"nvidia-|cuda-|triton")


def manylinux(machine: str) -> list[str]:
    """Tags that a Linux with glibc 2.28 installs, newest first."""
    return [f"manylinux_2_{minor}_{machine}" for minor in range(28, 16, -1)] + [f"manylinux2014_{machine}"]


LINUX = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
MAC = {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"}
PLATFORMS = {
    "linux-x86_64": (manylinux("x86_64"), LINUX | {"platform_machine": "x86_64"}),
    "linux-arm64": (manylinux("aarch64"), LINUX | {"platform_machine": "aarch64"}),
    "macos-arm64": (["macosx_14_0_arm64"], MAC | {"platform_machine": "arm64"}),
}


def requirements() -> list[str]:
    """What sslkit and its tests ask for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needs = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["test"]]
    return needs + project["build-system"]["requires"]


def pinned(constraints: str) -> set[str]:
    """Normalised names that the constraints pin."""
    names = re.findall(r"^([\w.-]+)==", constraints, re.MULTILINE)
    return {normal(name) for name in names}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def resolve(python: str, platform: str) -> list[str]:
    """Names of what would be installed.

    Raises:
        RuntimeError: there is no resolution; the message is pip's.
    """
    tags, markers = PLATFORMS[platform]
    markers = markers | {"python_version": python, "python_full_version": f"{python}.0"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--python-version", python]
        options += ["--target", folder, "--report", str(report), "--constraint", str(ROOT / "constraints.txt")]
        options += [word for tag in tags for word in ("--platform", tag)]
        done = subprocess.run(
            [sys.executable, __file__, "--pip", "install", "--quiet", *options, *requirements()],
            env=os.environ | {"MARKERS": json.dumps(markers)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise RuntimeError(" ".join(errors) or done.stderr[-500:])
        return [item["metadata"]["name"] for item in json.loads(report.read_text("utf-8"))["install"]]


def pip_for_another_machine(arguments: list[str]) -> None:
    """pip, with the markers of the environment variable MARKERS instead of this machine's."""
    markers: Any = importlib.import_module("pip._vendor.packaging.markers")  # each pip has other annotations
    here = markers.default_environment()
    there = here | json.loads(os.environ["MARKERS"])
    markers.default_environment = lambda: dict(there)
    sys.argv = ["pip", *arguments]
    runpy.run_module("pip", run_name="__main__", alter_sys=True)


def main(words: list[str]) -> int:
    """Check the combinations whose name holds all `words`; the number that failed."""
    known = pinned((ROOT / "constraints.txt").read_text("utf-8"))
    failed = 0
    for python in PYTHONS:
        for platform in PLATFORMS:
            if not all(word in f"{python} {platform}" for word in words):
                continue
            try:
                names = {normal(name) for name in resolve(python, platform)}
                free = sorted(name for name in names - known if not CUDA.match(name))
                outcome = f"no pin for {', '.join(free)}" if free else f"ok, {len(names)} packages"
            except RuntimeError as error:
                outcome, free = f"does not resolve: {error}", ["all"]
            failed += bool(free)
            print(f"Python {python} {platform}: {outcome}", flush=True)
    return failed


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pip"]:
        pip_for_another_machine(sys.argv[2:])
    else:
        sys.exit(min(main(sys.argv[1:]), 1))
