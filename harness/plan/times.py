"""How long stages will take: three steps of each kind, as those of the first seed are timed here."""

from __future__ import annotations

from pathlib import Path

import torch

from sslkit.harness.plan.arms import Comparison
from sslkit.harness.plan.survey import Survey
from sslkit.prepare import prepare
from sslkit.training.timing import step_seconds

FITTED = 10.0  # seconds of a stage without a step


def stage_seconds(
    comparison: Comparison, found: Survey, cache: Path, kept: Path | None = None
) -> dict[str, float] | None:
    """Key -> seconds, of all stages; None where they are for a device that is not here.

    Args:
        kept: as of `step_seconds`.
    """
    if any(spec.device == "cuda" for spec in found.specs.values()) and not torch.cuda.is_available():
        return None
    seconds: dict[str, float] = {}
    kinds: dict[tuple[str, str, str], float] = {}
    for run in found.runs:
        if run.seed == comparison.first_seed:
            specs = [found.specs[key] for key in run.stages.values()]
            prepared = prepare(comparison.request(run.arm, run.condition, run.seed), cache)
            for data in filter(None, (prepared, prepared.source)):
                own = [spec for spec in specs if spec.data["fingerprint"] == data.images.fingerprint]
                new = [spec for spec in own if spec.key not in seconds]
                steps = step_seconds(new, data.images, data.split, kept)
                seconds |= {s.key: steps[s.key].step * int(s.training["steps"]) for s in new if s.key in steps}
            kinds |= {(run.arm, run.condition, n): seconds.get(key, FITTED) for n, key in run.stages.items()}
    return {key: kinds[run.arm, run.condition, n] for run in found.runs for n, key in run.stages.items()}
