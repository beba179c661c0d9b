"""Studies: comparisons with a question, arms and sizes, one TOML file each; `sslkit compare --study NAME`.

A file has `question`, `reference`, perhaps `claim` (what was published on the question), a table `[arms.NAME]` with the
keys that make each arm, and a table for each scale:

    [quick]
    seeds = 8
    first_seed = 3                   # 3 to 10; without it 0 to 7
    arms = ["NAME"]                  # those of this scale; without it all
    labels = ["4/class", "all"]      # lists of labels, backbone and data make conditions, all combinations
    [quick.set]                      # keys of all runs; recipe = "NAME" puts a recipe beneath them
    precision = "fp32"
    [quick.set.vit_micro]            # keys of the runs whose labels, backbone, data or arm is called so
    "finetune.steps" = 300
    [quick.set.vit_micro.all]        # of those that are called both
    "finetune.steps" = 1500
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sslkit import registry
from sslkit.config import Flat
from sslkit.errors import UserError, one_line, unknown
from sslkit.recipes import layers

FOLDER = Path(__file__).parent
SCALES = ("quick", "small", "paper")
GROUP = "sslkit.studies"  # entry points: name -> "package.module:file.toml", or "package:file.toml"
CONDITIONS = {"labels": "data.labels", "backbone": "backbone.name", "data": "data.name"}


@dataclass(frozen=True)
class Study:
    """What is asked, by which arms, under which conditions."""

    question: str
    reference: str
    arms: dict[str, Flat]
    seeds: int
    first_seed: int
    conditions: dict[str, list[Any]]  # key -> values
    table: dict[str, Any]  # [SCALE.set]

    def settings(self, called: Collection[str]) -> Flat:
        """Keys of the runs whose condition's values and arm are `called` so."""
        flat = _settings(self.table, called)
        recipe = flat.pop("recipe", None)
        return layers(None if recipe is None else str(recipe), None, flat)


def _settings(table: dict[str, Any], called: Collection[str]) -> Flat:
    flat = {key: value for key, value in table.items() if not isinstance(value, dict)}
    for name, inner in table.items():
        if isinstance(inner, dict) and name in called:
            flat |= _settings(inner, called)
    return flat


def studies() -> dict[str, Path]:
    """Name -> file: those in the box, and those of installed packages.

    Raises:
        UserError: a package's file cannot be found, or its name is taken.
    """
    found = {file.stem: file for file in sorted(FOLDER.glob("*.toml"))}
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name in found:
            raise UserError(f"two studies are called {point.name!r}: uninstall one of them ({point.value})")
        found[point.name] = _foreign(point)
    return found


def _foreign(point: importlib.metadata.EntryPoint) -> Path:
    """The file that `package:file.toml` names, without importing the package."""
    package, _, file = point.value.partition(":")
    try:
        spec = importlib.util.find_spec(package.strip())
    except (ImportError, ValueError) as error:
        raise UserError(f"study {point.name!r} ({point.value}) cannot be found: {one_line(error)}") from None
    folders = list(spec.submodule_search_locations or []) if spec else []
    path = next((Path(folder) / file.strip() for folder in folders), None)
    if path is None or path.suffix != ".toml":
        raise UserError(f"study {point.name!r}: its entry point must be PACKAGE:FILE.toml, got {point.value!r}")
    return path


def abouts() -> Iterator[dict[str, str]]:
    """Name, question and scales of every study, for `sslkit list studies`."""
    for name, path in studies().items():
        told = _read(name, path)
        scales = ", ".join(scale for scale in SCALES if scale in told)
        origin = "built in" if path.parent == FOLDER else str(path)
        yield {"name": name, "question": str(told.get("question", "")), "scales": scales, "origin": origin}


def asked(name: str) -> tuple[str, str]:
    """Question and claim of a study, for its tables; "" where it has none, or the file is gone."""
    try:
        told = _read(name, studies().get(name) or Path(name))
    except UserError:
        return "", ""
    question, claim = (" ".join(str(told.get(key, "")).split()) for key in ("question", "claim"))
    return question, claim and f"Published: {claim}"


def read_study(name: str, scale: str) -> Study:
    """A study by its name, or from a file of one's own.

    Raises:
        UserError: there is none, or it is not as it should be.
    """
    known = studies()
    path = known.get(name) or Path(name)
    if path.suffix != ".toml":
        raise unknown("study", name, known, see="sslkit list studies")
    told, where = _read(name, path), f"study {path}"
    words = ("question", "claim", "reference")
    lost = [key for key, value in told.items() if key not in words and not isinstance(value, dict)]
    _known(where, lost, (*words, "[arms.NAME]", "[quick]", "[small]", "[paper]"))
    arms, here = told.get("arms"), f"{where}, [{scale}]"
    if not arms or not all(isinstance(keys, dict) for keys in arms.values()):
        raise UserError(f"{where} has no table [arms.NAME]")
    size = _size(where, told, scale)
    taken = _values(here, "arms", size.get("arms", [*arms]))
    if not all(isinstance(arm, str) and arm in arms for arm in taken):
        raise UserError(f"{here}: arms = {taken!r} must be names of tables [arms.NAME]: {', '.join(arms)}")
    conditions = {key: _values(here, option, size[option]) for option, key in CONDITIONS.items() if option in size}
    table = size.get("set", {})
    called = {*taken, *(str(v) for vs in conditions.values() for v in vs)}
    called |= {entry.name for kind in ("backbone", "dataset") for entry in registry.entries(kind)}
    _check_names(f"{here[:-1]}.set", table, called)
    question, reference = str(told.get("question", "")), str(told.get("reference", "finetune+"))
    seeds = size["seeds"], size.get("first_seed", 0)
    return Study(question, reference, {arm: arms[arm] for arm in taken}, *seeds, conditions, table)


def _size(where: str, told: dict[str, Any], scale: str) -> dict[str, Any]:
    """The table [SCALE], which has a number of seeds."""
    size, here = told.get(scale), f"{where}, [{scale}]"
    if not isinstance(size, dict) or scale == "arms":
        has = ", ".join(s for s in told if isinstance(told[s], dict) and s != "arms") or "none"
        raise UserError(f"{where} has no table [{scale}]; its scales: {has}")
    known = ("seeds", "first_seed", "arms", *CONDITIONS, "set")
    _known(here, size.keys() - {*known}, known)
    for name, value in (("seeds", size.get("seeds")), ("first_seed", size.get("first_seed", 0))):
        if not isinstance(value, int) or isinstance(value, bool):
            raise UserError(f"{here}: {name} must be a whole number, got {value!r}")
    if not isinstance(size.get("set", {}), dict):
        raise UserError(f"{here}: set must be a table of keys, got {size['set']!r}")
    return size


def _known(where: str, strange: Iterable[str], known: Sequence[str]) -> None:
    """What a study has no place for is a mistake of spelling."""
    if strange := sorted(strange):
        raise UserError(f"{where}: unknown {', '.join(strange)}; known are {', '.join(known)}")


def _read(name: str, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read study {name}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None


def _values(where: str, key: str, given: Any) -> list[Any]:
    """A list as it is, one value as a list of one."""
    if given == []:
        raise UserError(f"{where}: {key} is empty")
    return given if isinstance(given, list) else [given]


def _check_names(where: str, table: dict[str, Any], known: Collection[str]) -> None:
    """A table within [SCALE.set] that no run is called by is a mistake of spelling."""
    for name, inner in table.items():
        if isinstance(inner, dict):
            if name not in known:
                raise UserError(f"{where}.{name}]: no arm, labels, backbone or data is called {name!r}")
            _check_names(f"{where}.{name}", inner, known)
