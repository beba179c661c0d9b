"""What of a configuration file goes when something that it names is replaced: options of parts, and what hangs on them.

A run's file names every key. So what a part decides by default goes with it there, as if nobody had asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sslkit import registry
from sslkit.config import FREE, PARTS, STAGES, Flat, flatten
from sslkit.config.resolve import SLOTS, options, pretraining, resolve
from sslkit.errors import UserError

NO_PART = ("auto", "full")  # names that stand for none
NOTHING = ("", "auto", False)  # values of keys that nobody set
ROOTS = ("algo.name", "backbone.name", "adapt.name", "data.name", "weights")  # what decides defaults of other keys
LENGTHS = ("steps", "epochs", "images")
OF_DATA = ("dir", "download", "image", "label", "split", "group", "train", "unlabeled", "test", "val")
OF_WEIGHTS = ("weights_container", "weights_partial")
OF_OWN = ("white", "bands", "groups", "classes")  # that say how one's own files are read


def replaced(file: Flat, asked: Flat, weights: Mapping[str, Any] | None = None) -> list[str]:
    """Keys of `file` that go with what `asked` replaces.

    An option that a part and its successor both have stays, unless it is what the old one has by default.

    Args:
        weights: of a run's file how images were prepared for the weights that it started from, by the name of the key
            in `data`; None where the file is no run's.
    """
    gone = [*_of_slots(file, asked), *_of_parts(file, asked), *_of_lengths(file, asked), *_of_pretraining(file, asked)]
    gone += _of_data(file, asked)
    if _other(file, asked, "weights"):
        gone += OF_WEIGHTS
    if weights is not None:
        gone += _by_default(file, asked)
        gone += [
            f"data.{k}" for k, v in weights.items() if _other(file, asked, "weights") and file.get(f"data.{k}") == v
        ]
    lost = {key.partition(".")[0] for key in gone if key.endswith(".name") and key not in asked}
    gone += [key for key in file if key.partition(".")[0] in lost]
    nothing = {key for key in gone if key.partition(".")[0] in ("data", *OF_WEIGHTS) and file.get(key) in NOTHING}
    return [key for key in dict.fromkeys(gone) if key in file and key not in asked and key not in nothing]


def differing(file: Flat, asked: Flat) -> list[str]:
    """What `asked` has that makes a run another one than that whose file it is, as "seed 0 -> 3"."""
    keys = [
        key for key in asked if key not in FREE and asked[key] != file.get(key, "full" if key == "adapt.name" else ...)
    ]
    return [f"{key} {file.get(key, 'not set')} -> {asked[key]}" for key in keys]


def check_lengths(asked: Flat) -> None:
    """Raise a UserError where the length of a stage is asked for in two units."""
    for stage in STAGES:
        given = [key for unit in LENGTHS if asked.get(key := f"{stage}.{unit}", "auto") != "auto"]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)} both set the length of the stage {stage}; drop one")


def _other(file: Flat, asked: Flat, key: str) -> bool:
    return key in asked and asked[key] != file.get(key)


def _of_slots(file: Flat, asked: Flat) -> list[str]:
    """Of slots that the new algorithm lacks."""
    if "algo.name" not in asked:
        return []
    slots = registry.load("algorithm", str(asked["algo.name"])).slots
    return [key for key in file if key.partition(".")[0] in {*SLOTS} - slots.keys()]


def _of_parts(file: Flat, asked: Flat) -> list[str]:
    gone: list[str] = []
    for section, kind in PARTS.items():
        old, new = (str(flat.get(f"{section}.name", "")) for flat in (file, asked))
        if old and new and old != new:
            before, now = (options(registry.load(kind, n)) if n not in NO_PART else {} for n in (old, new))
            own = {key: key.partition(".")[2] for key in file if key.startswith(f"{section}.") and key not in asked}
            gone += [
                key
                for key, name in own.items()
                if name not in now or (name in before and before[name].default == file[key])
            ]
    return gone


def _of_lengths(file: Flat, asked: Flat) -> list[str]:
    """The length of a stage that is given in another unit, and a time that would set all."""
    gone: list[str] = []
    for stage in STAGES:
        units = [f"{stage}.{unit}" for unit in LENGTHS]
        if any(key in asked for key in units):
            gone += [key for key in (*units, "time") if file.get(key, "auto") != "auto"]
    return gone


def _of_pretraining(file: Flat, asked: Flat) -> list[str]:
    """Of a stage `pretrain` that is dropped, or learns by labels instead of masked patches, or the reverse."""
    now = pretraining(asked)
    masks = [key for key in file if key.startswith("pretrainer.")]
    labels = [key for key in ("pretrain.data", "pretrain.dir") if file.get(key)]
    if "pretrain" not in str(now.get("stages", "pretrain")):
        return masks + labels
    return (masks if now.get("pretrain.data") else []) + (labels if "pretrainer.name" in now else [])


def _of_data(file: Flat, asked: Flat) -> list[str]:
    """What says where things are in the old data, where another kind of data set takes its place."""
    old, new = (str(flat.get("data.name", "digits")) for flat in (file, file | asked))
    if old.partition(":")[0] == new.partition(":")[0]:
        return []
    gone = [f"data.{name}" for name in OF_DATA if not isinstance(file.get(f"data.{name}"), float)]
    gone += [key for key in ("data.labels", "data.pool") if ":" in str(file.get(key, ""))]
    gone += ["data.class_weights"] if "=" in str(file.get("data.class_weights", "")) else []
    return gone + [f"data.{name}" for name in OF_OWN if ":" not in new]  # else the new one is one's own, too


def _by_default(file: Flat, asked: Flat) -> list[str]:
    """Keys with the value that the file's parts have by default, for which the new parts have another."""
    roots = {key: file[key] for key in ROOTS if key in file}
    if not any(_other(file, asked, key) for key in ROOTS):
        return []
    with suppress(UserError):  # what cannot be is said where it is resolved
        old = _defaults(roots)
        stages = {"stages": file["stages"]} if file.get("stages") != old["stages"] else {}
        old, roots = _defaults(roots | stages), roots | {key: asked[key] for key in ROOTS if key in asked}
        new = _defaults(roots | stages | ({"stages": asked["stages"]} if "stages" in asked else {}))
        same = [key for key in file if key in old and file[key] == old[key] and key not in (*ROOTS, "seed")]
        return [key for key in same if new.get(key, ...) != old[key]]
    return []


def _defaults(roots: Flat) -> Flat:
    found = flatten(
        resolve(roots, registry.load("dataset", str(roots.get("data.name", "digits"))), lambda: "vit_micro")
    )
    return {key: "auto" if value is None else value for key, value in found.items()}
