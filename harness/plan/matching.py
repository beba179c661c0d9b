"""What two stages differ in, by configuration key, and whether that was asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sslkit.config import PARTS, Flat
from sslkit.harness.plan.arms import OWN
from sslkit.training.spec import Spec

# what of a stage's settings other keys of its section decide, too
BESIDE = {
    "steps": {"steps", "epochs", "images", "batch", "mu"},
    "lr": {"lr", "scale_lr", "batch"},
    "decay": {"decay", "steps", "epochs", "images"},
}
# and keys of other sections that decide it
ELSEWHERE = {"lr": "control.lr", "patience": "eval.patience"}


def settings(spec: Spec) -> Flat:
    """All that determines a stage, but for its parent and the source of its parts; named as configuration keys are.

    Views have their stream in the name, `views.unlabeled.strong.shift`; data is named by content, `data.labeled`.
    """
    values = asdict(spec)
    flat: Flat = {}
    for section, part in values.pop("parts").items():
        flat[f"{section}.name"] = part["name"]
        flat |= {f"{section}.{name}": value for name, value in part["options"].items()}
        flat |= {f"{section}.weights": part["weights"]} if "weights" in part else {}
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


def unasked(this: Spec, other: Spec, asked: Collection[str]) -> list[str]:
    """Keys that both stages have, whose values differ though nobody asked for it.

    Args:
        asked: configuration keys in which their arms were to differ.
    """
    a, b = settings(this), settings(other)
    return [key for key in a if key in b and a[key] != b[key] and not _explained(key, this.stage, asked)]


def _explained(key: str, stage: str, asked: Collection[str]) -> bool:
    section, _, name = key.partition(".")
    if section in OWN:
        return key != "labeler.smoothing" or key in asked
    if section == stage:
        causes = {f"{stage}.{cause}" for cause in BESIDE.get(name, {name})} | {ELSEWHERE.get(name, "")}
        return bool(causes & {*asked})
    if section == "average":
        return any(k.startswith("eval.") or k == f"{stage}.decay" for k in asked) or bool(
            {f"semi.{cause}" for cause in BESIDE["decay"]} & {*asked}
        )
    also = {"views": f"{stage}.erase", "backbone": f"{stage}.drop_path", "data": ""}.get(section, "")
    if section in ("views", "backbone", "data", "pretrainer"):
        return (
            also in asked
            or any(k.startswith(f"{section}.") for k in asked)
            or (key == "backbone.weights" and "weights" in asked)
        )
    return key in asked
