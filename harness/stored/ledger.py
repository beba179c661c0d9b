"""What a comparison keeps of itself, `comparison.json`: its plan from the start on, each run as it ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from sslkit.errors import UserError
from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.cost import Cost
from sslkit.harness.plan.survey import Planned, Survey, leaves
from sslkit.record import read_run
from sslkit.store import Store, is_done, read_json, remove, unfinished, write_json
from sslkit.terminal import count

MARK = "comparison.json"
SCHEMA = 2
KINDS = {
    "comparison": Comparison,
    "runs": list[Planned],
    "study": str,
    "keep": bool,
    "differences": dict[str, dict[str, dict[str, list[Any]]]],
    "labeled": dict[str, int],
    "costs": dict[str, dict[str, Cost]],
}


def read(folder: Path) -> dict[str, Any]:
    """A comparison as it was stored.

    Raises:
        UserError: there is none, or it is damaged or of another version.
    """
    try:
        about = read_json(folder / MARK)
    except UserError as error:
        again = "; the same `sslkit compare` makes it anew" if (folder / MARK).is_file() else ""
        raise UserError(f"{error}{again}") from None
    if not isinstance(about, dict) or about.get("schema") != SCHEMA:
        raise UserError(f"{folder / MARK} is of another version; the same `sslkit compare` makes it anew")
    if isinstance(about.get("comparison"), dict):
        about["comparison"].setdefault("first_seed", 0)  # as before there was such a thing
    lost = [key for key, kind in KINDS.items() if not fits(about.get(key), kind)]
    if lost := lost or _strays(about):
        raise UserError(f"{folder / MARK} is damaged: {', '.join(lost)}; the same `sslkit compare` makes it anew")
    return about


def fits(value: Any, kind: Any) -> bool:
    """Whether a value read from JSON is of a type; a dataclass is a dict of all its fields."""
    within = get_args(kind)
    if is_dataclass(kind):
        kinds = get_type_hints(kind)
        return isinstance(value, dict) and value.keys() == kinds.keys() and all(fits(value[k], kinds[k]) for k in kinds)
    if get_origin(kind) is dict:
        return isinstance(value, dict) and all(fits(k, within[0]) and fits(v, within[1]) for k, v in value.items())
    if get_origin(kind) is list:
        return isinstance(value, list) and all(fits(v, within[0]) for v in value)
    return kind is Any or type(value) in ((int, float) if kind is float else (kind,))


def _strays(about: dict[str, Any]) -> list[str]:
    """What does not agree with the comparison's plan."""
    runs, arms = about["runs"], about["comparison"]["requests"]
    unknown = not runs or any(run["arm"] not in arms.get(run["condition"], ()) for run in runs)
    lost = about["comparison"]["conditions"].keys() - about["labeled"].keys()
    return ["runs"] * unknown + ["labeled"] * bool(lost)


def known(folder: Path) -> dict[str, Any]:
    """As `read`; nothing where that fails: then it is written anew, and finished stages are found by their keys."""
    try:
        return read(folder)
    except UserError:
        return {}


def begin(
    store: Store, folder: Path, comparison: Comparison, found: Survey, keep: bool, more: Mapping[str, Any]
) -> list[Planned]:
    """Store the plan, with what an earlier call finished; the runs as they stand.

    Args:
        keep: weights stay after the end, also of a later call.
        more: what else is told of the comparison.

    Raises:
        UserError: it cannot be written.
    """
    store.prepare()
    with store.alone():
        earlier = known(folder)
        before = {(run.arm, run.condition, run.seed): run for run in (Planned(**r) for r in earlier.get("runs", ()))}
        theirs = {run["folder"] for other in _others(store, folder) for run in other["runs"] if run["own"]}
        runs = []
        for run in found.runs:
            old = before.get((run.arm, run.condition, run.seed))
            there = (store.root / run.folder / "run.json").is_file()
            own = old.own if old else not there or run.folder in theirs
            kept = old if old and old.run == run.folder and is_done(store.root / old.run) else run
            runs.append(replace(kept, stages=run.stages, own=own))
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {folder}: {error.strerror}") from None
        remove(unfinished(folder))
        keep = keep or earlier.get("keep", False)
        about = {"schema": SCHEMA, "comparison": asdict(comparison), "keep": keep, **more}
        write_json(folder / MARK, about | {"runs": [asdict(run) for run in runs]})
    return runs


def note(store: Store, folder: Path, done: Planned) -> None:
    """Store how a run has ended; another process may be doing so for the same comparison."""
    with store.alone():
        about = read(folder)
        place = done.arm, done.condition, done.seed
        for run in about["runs"]:
            if (run["arm"], run["condition"], run["seed"]) == place and not run["run"]:
                run |= {"run": done.run, "error": done.error}
        write_json(folder / MARK, about)


def drop(store: Store, folder: Path, found: Survey) -> str:
    """Remove weights that nobody asked for and no stage starts from, if all runs are finished; what is to be said.

    Kept are those of stages that others start from, so that an arm that is added later starts from the same
    weights, and all that runs by hand or comparisons with `--keep` refer to.
    """
    with store.alone():
        about = read(folder)
        if about["keep"] or any(run["error"] for run in about["runs"]):
            return ""
        wanted = {key for run in about["runs"] if not run["own"] for key in run["stages"].values()}
        ours = {run["run"] for run in about["runs"]}
        for other in _others(store, folder):
            ours |= {run["folder"] for run in other["runs"] if run["own"]}
            wanted |= _needed(other)
        for run in (file.parent for file in store.root.glob("*/run.json")):
            if run.name not in ours:
                try:
                    wanted |= {*read_run(run)["stages"].values()}
                except UserError:
                    return f"all weights stay: what {run.name} refers to cannot be read"
        gone = [f for k in leaves(found) - wanted for f in (store.stages / k).glob("*.safetensors") if _weights(f)]
        for path in gone:
            path.unlink(missing_ok=True)
    words = (
        f"deleted the weights of {count(len(gone), 'stage')} that no other stage starts from (their results "
        "and predictions stay); --keep keeps them, for predict and export"
    )
    return words if gone else ""


def _needed(other: dict[str, Any]) -> set[str]:
    """Keys of stages whose weights another comparison keeps: all, or those that a later stage of a run starts from."""
    runs = [list(run["stages"].items()) for run in other["runs"]]
    started = {key for stages in runs for label, key in stages[:-1] if label != "finetune+"}
    return {key for stages in runs for _, key in stages} if other["keep"] else started


def _weights(path: Path) -> bool:
    return path.name in ("weights.safetensors", "best.safetensors")


def _others(store: Store, folder: Path) -> list[dict[str, Any]]:
    """Other comparisons in the store that can be read."""
    folders = [file.parent for file in store.root.glob(f"*/{MARK}") if file.parent.name != folder.name]
    return [about for about in map(known, folders) if about]
