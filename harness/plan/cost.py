"""What training costs: parameters, steps, images, and floating-point operations counted by torch.

Counted are the multiplications and additions of matrix products, convolutions and attention (an operation each) in one
real step of each kind of work: the student forward and backward on all its views, the teacher forward. Work grows with
the batch, so two labelled images are enough to count. Views that a stage may skip on the CPU are counted, but not what
is computed again to save memory. A method on frozen features has one step, the forward pass over all images that it
learns from; its own arithmetic is not counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sslkit.config import Flat, Training
from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.errors import UserError
from sslkit.harness.plan.arms import OWN, Comparison
from sslkit.harness.plan.survey import Planned, Survey, row_names
from sslkit.prepare import prepare, read_once
from sslkit.training.spec import Spec
from sslkit.training.stage import build_algorithm
from sslkit.training.timing import trial

FEW = 2  # labelled images of a counted step
EQUAL = "finetune+, equal compute"


@dataclass(frozen=True)
class Cost:
    """Of one stage."""

    parameters: int  # of the student
    steps: int
    images: int  # a step, labelled and unlabelled, each once
    flops: float  # a step
    before: float  # FLOPs of all stages that it starts from


def costs(comparison: Comparison, found: Survey, cache: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Condition -> row -> `Cost` of its stage; without rows whose step fails."""
    names = row_names(found.runs)
    made: dict[str, dict[str, dict[str, Any]]] = {}
    for run in found.runs:
        if run.seed != comparison.first_seed:
            continue
        rows, spent = made.setdefault(run.condition, {}), {"": 0.0}
        with read_once():
            for label, cost in _stages(comparison, found, run, cache, spent):
                rows[names[run.condition, run.arm, label]] = asdict(cost)
    return made


def _stages(
    comparison: Comparison, found: Survey, run: Planned, cache: Path, spent: dict[str, float]
) -> Iterator[tuple[str, Cost]]:
    """Costs of a run's stages; `spent` is filled with FLOPs until the end of each, by key."""
    for label, key in run.stages.items():
        spec = found.specs[key]
        shape = spec.data["size"], len(spec.data["classes"])
        work = json.dumps([spec.parts, _small(spec).training, sorted(map(str, spec.views.items())), shape])
        if work not in found.counted:
            prepared = prepare(comparison.request(run.arm, run.condition, run.seed), cache)
            found.counted[work] = _counted(spec, prepared.images, prepared.split)
        one = found.counted[work]
        before = spent.get(spec.parent)
        if one is None or before is None:
            continue
        if spec.fitted:
            images = sum(spec.data[name][0] for name in ("labeled", "pool") if name in spec.data)
            cost = Cost(one[0], 1, images, one[1] * images, before)
        else:
            flops = one[1] * int(spec.training["batch"]) / FEW
            cost = Cost(one[0], int(spec.training["steps"]), spec.images_a_step, flops, before)
        spent[key] = before + cost.flops * cost.steps
        yield label, cost


def _counted(spec: Spec, images: Images, split: Split) -> tuple[int, float] | None:
    """Parameters, and FLOPs of a step with `FEW` labelled images, of a fitted stage those of an image's features.

    None where the step fails, as its run will say.
    """
    threads = torch.get_num_threads()
    try:
        if spec.fitted:
            network = build_algorithm(_small(spec), None)[0].student.eval()
            with _counter() as counter:
                network(torch.zeros(1, 3, spec.data["size"], spec.data["size"]))
            return sum(p.numel() for p in network.parameters()), float(counter.get_total_flops())
        with trial(_small(spec), images, split) as (engine, step), _counter() as counter:
            step(0)
        return sum(p.numel() for p in engine.algorithm.student.parameters()), float(counter.get_total_flops())
    except Exception:  # whatever a part does wrong, it does again in its run, which is a cell with its reason
        return None
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _counter() -> Iterator[FlopCounterMode]:
    """Counts FLOPs; attention is computed by its formula, as torch does not count its fused kernel on the CPU.

    See pytorch/pytorch#195460.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        yield counter


def _small(spec: Spec) -> Spec:
    """The same work on few images, on the CPU."""
    training = spec.training | {"batch": FEW, "accumulate": 1, "steps": 100, "lr": 0.0}
    training |= {"skip_rejected": "off"} if "skip_rejected" in training else {}
    training |= {name: False for name in ("compile", "grad_checkpoint") if name in training}
    return replace(spec, parent="", device="cpu", precision="fp32", training=training)


def equal_compute(comparison: Comparison, found: Survey, cache: Path) -> Comparison:
    """With one more arm: finetune+ for as many steps as cost what the dearest arm's semi stage costs.

    Raises:
        UserError: the work of a step cannot be counted.
    """
    counted = costs(comparison, found, cache)
    requests = {condition: dict(arms) for condition, arms in comparison.requests.items()}
    for condition, arms in requests.items():
        first = next(iter(found.first(condition).values()))
        if "finetune+" in first.stages:
            steps = longer(counted[condition], list(arms))
            arms[EQUAL] = _supervised(next(iter(arms.values())), found.spec(first, "finetune+")) | {"semi.steps": steps}
    keys = {"algo.name": "supervised", "semi.steps": "as cost the same", "semi.lr": "that of finetune+"}
    return replace(comparison, arms={**comparison.arms, EQUAL: keys}, requests=requests)


def longer(rows: dict[str, dict[str, Any]], arms: list[str]) -> int:
    """Steps of finetune+ that cost what the dearest of `arms` costs.

    Args:
        rows: row -> `Cost`, of one condition.

    Raises:
        UserError: finetune+ or all arms are without a cost.
    """
    control = next((Cost(**cost) for row, cost in rows.items() if row.split(",")[0] == "finetune+"), None)
    theirs = [Cost(**rows[arm]) for arm in arms if arm in rows]
    if control is None or not theirs:
        raise UserError("--equal-compute: a step of the arms cannot be counted; their runs will say why")
    return round(max(cost.flops * cost.steps for cost in theirs) / control.flops)


def _supervised(keys: Flat, control: Spec) -> Flat:
    """The keys of an arm whose semi stage is finetune+."""
    kept = {k: v for k, v in keys.items() if k.partition(".")[0] not in OWN and k not in ("semi.epochs", "semi.images")}
    kept.setdefault("eval.decay", control.average["decay"])  # auto would follow the longer stage, in finetune, too
    own = {f.name: control.training[f.name] for f in fields(Training) if f.name in control.training}
    return (
        kept
        | {"algo.name": "supervised", "control.run": False, "semi.scale_lr": False}
        | {f"semi.{k}": v for k, v in own.items()}
    )
