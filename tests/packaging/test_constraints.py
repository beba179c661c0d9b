"""constraints.txt pins what is installed, and nothing of CUDA. `resolve_constraints.py` asks pip itself."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
WANTED = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["test"]]
CUDA = re.compile(r"nvidia-|cuda-|triton")


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split(";")[0].strip().split("==") for line in lines if line.strip() and not line.startswith("#")]
    return {normal(name): version for name, version in pairs}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_no_cuda_package_and_no_address() -> None:
    assert not [name for name in pins() if CUDA.match(name)]
    assert "://" not in (ROOT / "constraints.txt").read_text("utf-8")


@pytest.mark.parametrize("wanted", WANTED + PROJECT["build-system"]["requires"])
def test_pins_are_in_the_declared_ranges(wanted: str) -> None:
    requirement = Requirement(wanted)
    assert requirement.specifier.contains(pins()[normal(requirement.name)])


def test_everything_that_sslkit_needs_here_is_pinned() -> None:
    waiting, seen = [Requirement(text) for text in WANTED], set()
    while waiting:
        requirement = waiting.pop()
        name = normal(requirement.name)
        if name in seen or CUDA.match(name):
            continue
        seen.add(name)
        needs = [Requirement(text) for text in importlib.metadata.requires(name) or []]
        extras = requirement.extras or {""}
        waiting += [n for n in needs if not n.marker or any(n.marker.evaluate({"extra": extra}) for extra in extras)]
    assert sorted(seen - set(pins())) == []
    assert "torch" in seen
    assert "sympy" in seen, "torch's own dependencies were followed"
