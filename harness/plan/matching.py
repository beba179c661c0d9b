"""Whether what two stages differ in was asked for."""

from __future__ import annotations

from collections.abc import Collection

from sslkit.harness.plan.arms import OWN
from sslkit.training.differences import settings
from sslkit.training.spec import Spec

# what of a stage's settings other keys of its section decide, too
BESIDE = {
    "steps": {"steps", "epochs", "images", "batch", "mu"},
    "lr": {"lr", "scale_lr", "batch"},
    "decay": {"decay", "steps", "epochs", "images"},
}
# and keys of other sections that decide it
ELSEWHERE = {"lr": "control.lr", "patience": "eval.patience"}


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
