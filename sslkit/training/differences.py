"""What two stages differ in, by configuration key; and whether a stage is still that of its stored specification."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sslkit.config import PARTS, Flat
from sslkit.training.spec import Spec


def settings(spec: Spec) -> Flat:
    """All that determines a stage, but for its parent and the source of its parts; named as configuration keys are.

    Views have their stream in the name, `views.unlabeled.strong.shift`; data is named by content, `data.labeled`.
    """
    values = {f.name: getattr(spec, f.name) for f in fields(spec)}
    flat: Flat = {}
    for section, part in values.pop("parts").items():
        flat[f"{section}.name"] = part["name"]
        flat |= {f"{section}.{name}": value for name, value in part["options"].items()}
        flat |= {f"{section}.{name}": part[name] for name in ("weights", "container", "partial") if name in part}
    flat |= {f"{spec.stage}.{name}": value for name, value in values.pop("training").items()}
    for stream, views in values.pop("views").items():
        for view, policy in views.items():
            flat |= {f"views.{stream}.{view}.{name}": value for name, value in policy.items()}
    flat |= {f"average.{name}": value for name, value in values.pop("average").items()}
    flat |= {f"data.{name}": value for name, value in values.pop("data").items()}
    return flat | {name: value for name, value in values.items() if name not in ("stage", "parent")}


def differences(this: Spec, other: Spec) -> dict[str, tuple[Any, Any]]:
    """Key -> its value in `other` and in `this`. Of what only one has, parts and views are named; None is the lack."""
    a, b = settings(this), settings(other)
    apart = {key: (b[key], a[key]) for key in b if key in a and a[key] != b[key]}
    renamed = {section for section in PARTS if f"{section}.name" in apart}
    apart = {k: v for k, v in apart.items() if k.partition(".")[0] not in renamed or k.endswith(".name")}
    for section in PARTS:
        if (section in this.parts) != (section in other.parts):
            apart[f"{section}.name"] = b.get(f"{section}.name"), a.get(f"{section}.name")
    for stream in {*this.views} | {*other.views}:
        drawn = tuple(", ".join(spec.views[stream]) if stream in spec.views else None for spec in (other, this))
        apart |= {f"views.{stream}": (drawn[0], drawn[1])} if drawn[0] != drawn[1] else {}
    return apart


def changes(this: Spec, stored: dict[str, Any]) -> list[str]:
    """What makes a stage another than the stored one, as words: parts whose code has changed, keys with both values.

    Nothing where it is the same but for the stage that it starts from.
    """
    try:
        other = Spec(**stored)
        apart = differences(this, other)
    except (TypeError, KeyError, AttributeError):
        return ["the form of a stage's specification"]
    both = {section: part for section, part in this.parts.items() if section in other.parts}
    code = [
        f"the code of {section} {part['name']}"
        for section, part in both.items()
        if f"{section}.name" not in apart and part["source"] != other.parts[section]["source"]
    ]
    return code + [f"{key} ({old}, now {new})" for key, (old, new) in apart.items()]
