"""A run's folder: where it is, and what it holds: configuration, split, machine, versions, which stages are its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from sslkit import registry
from sslkit.augment.policy import MEDIUM
from sslkit.config import FREE, Config, Flat, flatten
from sslkit.config.resolve import read_toml, to_toml
from sslkit.errors import UserError
from sslkit.finished import check_weights, has_weights
from sslkit.machine import Machine, description, ranks, resolve_machine
from sslkit.plugins import plugin_hashes
from sslkit.prepare import Prepared
from sslkit.recipes import file_of
from sslkit.record.budget import within
from sslkit.record.stages import Stage, stages
from sslkit.store import Store, is_done, read_json, remove, store_of, unfinished, write_json
from sslkit.store.files import write_text
from sslkit.training.differences import changes
from sslkit.training.spec import Spec, stamp
from sslkit.version import __version__

KEY = re.compile(r"[0-9a-f]{16}(-\d+)?")  # name of a stage's folder; nothing else is looked at, or removed
# keys that came later, with the value that leaves a run what it was: it keeps its name
LATER: Flat = {f"{stage}.norm_stats": None for stage in ("pretrain", "finetune", "semi")}
LATER |= {f"data.{name}": "" for name in ("image", "label", "split", "group", "classes", "train", "unlabeled")}
LATER |= {"data.interpolation": "bicubic", "weights_container": None, "weights_partial": False}
LATER |= {"data.white": None, "data.bands": "", "predictions": ""}
LATER |= {"data.class_weights": "none", "data.sampling": "images", "data.imbalance": "", "data.open_set": ""}
LATER |= {"data.multilabel": False}
LATER |= flatten(MEDIUM, "views.medium.")


@dataclass(frozen=True)
class Place:
    """Where a run is stored."""

    folder: Path
    suffix: str  # what the names of its stages end in: nothing, or "-2" and so on for a repetition
    finished: bool

    def key(self, stage: Stage) -> str:
        """Name of a stage's folder."""
        return stage.spec.key + self.suffix


def place_of(store: Store, prepared: Prepared, name: str | None, *, again: bool, keep: bool) -> Place:
    """The folder of a run, and of what is to be repeated the next one that is free.

    Args:
        keep: a run whose weights were dropped is not finished.

    Raises:
        UserError: what is to be repeated is not finished, or its weights were dropped.
    """
    name, digest = name or run_name(prepared.config), run_digest(prepared)
    if ranks.count() > 1:  # they see other micro-batches than one process, so it is another run
        digest = hashlib.sha256(f"{digest} {ranks.count()} processes".encode()).hexdigest()[:8]
    first = store.run_folder(name, digest)
    if again:
        if not is_done(first):
            raise UserError(f"{first} is not finished, so there is nothing to repeat; run it without --again")
        check_weights(first)  # they are compared with
    folder = store.run_folder(name, digest, again=again)
    finished = is_done(folder) and not again and (has_weights(folder) or not keep)
    return Place(folder, folder.name.rpartition(digest)[2], finished)


def not_gone_on(file: str | os.PathLike[str] | None, place: Place, prepared: Prepared) -> str:
    """Why the run whose `config.toml` was given is not gone on with, though nothing else was asked for; "" if it is."""
    file = file_of(file) if file else None
    run = file.parent if file else Path()
    if not file or not (run / "run.json").is_file() or run.resolve().name == place.folder.name:
        return ""
    told, now = read_toml(file), {key: "auto" if v is None else v for key, v in flatten(prepared.config).items()}
    if any(told.get(key, "") != value for key, value in now.items() if key not in (*FREE, *LATER)):
        return ""
    what = "plug-ins, or the number of processes"
    with suppress(UserError, KeyError):  # a stage that was removed, or is damaged
        first = next(iter(read_run(run)["stages"].values()))
        fingerprint = read_json(store_of(run) / "stages" / first / "spec.json")["data"]["fingerprint"]
        changed = fingerprint not in (
            prepared.images.fingerprint,
            prepared.source and prepared.source.images.fingerprint,
        )
        what = "images or their labels" if changed else what
    return f"{run.resolve().name} is not gone on with, this is another run: its {what} have changed"


def begin(store: Store, place: Place, prepared: Prepared, machine: Machine, say: Callable[[str], None]) -> Machine:
    """Store what the run is, unless it was begun before; the machine that it has then.

    Args:
        say: given a sentence where the stages of a run that was begun have become others since.
    """
    store.prepare()
    with store.alone():
        begun = (place.folder / "run.json").is_file()  # interrupted before, or by another process meanwhile
        machine = machine_of(place.folder, prepared.config) if begun else machine
        specs = {stage.label: (place.key(stage), stage.spec) for stage in stages(prepared, machine)}
        keys = {label: key for label, (key, _) in specs.items()}
        stored = read_run(place.folder) if begun else {"stages": {}}
        if said := _changed(store, stored, specs):
            say(said)
        if stored["stages"] != keys:
            write_run(place.folder, prepared, machine, keys)
        remove(unfinished(place.folder))
    return machine


def _changed(store: Store, stored: Mapping[str, Any], specs: Mapping[str, tuple[str, Spec]]) -> str:
    """Which stages that were begun are trained anew, and what of them has changed; nothing where none was begun."""
    found: dict[str, list[str]] = {}
    for label, (key, spec) in specs.items():
        name = stored["stages"].get(label, key)
        if name == key:
            continue
        for folder in (store.stages / name, store.stages / f".{name}"):
            with suppress(UserError):  # what was not begun, or is damaged, has nothing to tell
                found[label] = changes(spec, read_json(folder / "spec.json"))
    if not found:
        return ""
    before = stored.get("versions", {}).get("sslkit", "")
    by = f" (begun by sslkit {before}, this is {__version__})" if before not in ("", __version__) else ""
    what = dict.fromkeys(change for changed in found.values() for change in changed)
    return (
        f"{' and '.join(found)} of this run {'is' if len(found) == 1 else 'are'} trained anew{by}; "
        f"changed since it was begun: {', '.join(what) or 'what it starts from'}"
    )


def run_name(config: Config) -> str:
    """Beginning of a run folder's name, where no other is asked for: data set, algorithm, mixer, backbone."""
    names = [config.data.name.partition(":")[0], config.algo.name, config.mixer.name if config.mixer else ""]
    return "-".join(filter(None, [*names, config.backbone.name.replace(":", "_")]))


def run_digest(prepared: Prepared) -> str:
    """8 hexadecimal digits of configuration, data and split; of neither the threads nor where the data came from."""
    flat = flatten(prepared.config)
    for name in FREE:
        flat.pop(name)
    flat = {key: value for key, value in flat.items() if LATER.get(key, ...) != value}
    if "medium" not in registry.load("algorithm", prepared.config.algo.name).views.get("unlabeled", ()):
        flat = {key: value for key, value in flat.items() if not key.startswith("views.medium.")}
    flat["plugins"] = sorted(plugin_hashes().values())
    flat["images"] = prepared.images.fingerprint
    flat["split"] = {name: stamp(index) for name, index in prepared.split.parts().items()}
    if prepared.images.given:
        flat["given"] = [one.key for one in prepared.images.given]
    if prepared.source:
        flat["pretrain.images"] = prepared.source.images.fingerprint
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]


def read_run(folder: Path) -> dict[str, Any]:
    """What a run stored of itself.

    Raises:
        UserError: it is missing or damaged.
    """
    about = read_json(folder / "run.json")
    named = about.get("stages") if isinstance(about, dict) else None
    if not isinstance(named, dict) or not all(isinstance(n, str) and KEY.fullmatch(n) for n in named.values()):
        raise UserError(f"{folder / 'run.json'} is damaged: it does not name the run's stages")
    return about


def decide(place: Place, prepared: Prepared, began: float) -> Machine:
    """The machine of a run, with the steps of its stages where a time is asked for; a repetition has the first run's.

    Args:
        began: `time.perf_counter()` at the start of the run.
    """
    first = place.folder.with_name(place.folder.name.removesuffix(place.suffix))
    return within(machine_of(first, prepared.config), prepared, began)


def machine_of(folder: Path, config: Config) -> Machine:
    """What the unfinished run stored, else what is decided now.

    Raises:
        UserError: what it stored is damaged.
    """
    if (folder / "run.json").is_file():
        try:
            machine = Machine(**read_run(folder)["machine"])
        except (KeyError, TypeError):
            raise UserError(f"{folder / 'run.json'} is damaged: it does not name the run's machine") from None
        torch.set_num_threads(machine.threads)
        return machine
    return resolve_machine(config)


def write_run(folder: Path, prepared: Prepared, machine: Machine, stages: Mapping[str, str]) -> None:
    """Store what a run needs to be gone on with and repeated.

    Args:
        stages: label -> name of the stage's folder.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}") from None
    plugins = plugin_hashes()
    text = to_toml(prepared.config)
    if plugins:
        text += "\n[plugins]\n" + "".join(f"{json.dumps(f)} = {json.dumps(h)}\n" for f, h in plugins.items())
    write_text(folder / "config.toml", text)
    split_ = {name: index.tolist() for name, index in prepared.split.parts().items()}
    write_json(folder / "split.json", split_ | {"classes": prepared.images.classes})
    write_json(folder / "data.json", {"remarks": prepared.remarks, **prepared.stored})
    about = {
        "machine": asdict(machine),
        "versions": description(),
        "plugins": plugins,
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": dict(stages),
    }
    write_json(folder / "run.json", about)
