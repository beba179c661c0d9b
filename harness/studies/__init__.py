"""Studies: comparisons with a question, arms and sizes, one TOML file each; `sslkit compare --study NAME`."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit.config import Flat
from sslkit.errors import UserError, unknown
from sslkit.harness.commands import CONDITIONS

FOLDER = Path(__file__).parent
SCALES = ("quick", "small")


@dataclass(frozen=True)
class Study:
    """What is asked, by which arms, under which conditions."""

    question: str
    reference: str
    arms: dict[str, Flat]
    seeds: int
    conditions: dict[str, list[Any]]  # key -> values
    base: Flat


def studies() -> dict[str, Path]:
    """Name -> file of the studies that ship in the box."""
    return {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}


def read_study(name: str, scale: str) -> Study:
    """A study by its name, or from a file of one's own.

    Raises:
        UserError: there is none, or it is not as it should be.
    """
    path = studies().get(name) or Path(name)
    if path.suffix != ".toml":
        raise unknown("study", name, studies())
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read study {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None
    arms, size = told.get("arms"), told.get(scale)
    if not isinstance(arms, dict) or not arms or not all(isinstance(keys, dict) for keys in arms.values()):
        raise UserError(f"study {path} has no table [arms.NAME]")
    if not isinstance(size, dict) or not isinstance(size.get("seeds"), int):
        raise UserError(f"study {path} has no table [{scale}] with seeds = N; choose another --scale")
    strange = sorted(size.keys() - {"seeds", "data", "set", *CONDITIONS})
    if strange:
        known = ", ".join(("seeds", "data", *CONDITIONS, "set"))
        raise UserError(f"study {path}, [{scale}]: unknown {', '.join(strange)}; known are {known}")
    base = dict(size.get("set", {})) | ({"data.name": size["data"]} if "data" in size else {})
    conditions = {key: size[name] for name, key in CONDITIONS.items() if name in size}
    reference = str(told.get("reference", "finetune+"))
    return Study(str(told.get("question", "")), reference, arms, size["seeds"], conditions, base)
