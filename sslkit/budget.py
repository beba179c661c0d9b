"""`--time`: how many steps each stage has, so that the whole run takes about as long as asked."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sslkit.config import STAGES, Config, Flat
from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.errors import UserError
from sslkit.evaluation import logits
from sslkit.machine import Machine
from sslkit.prepare import Prepared
from sslkit.report import duration
from sslkit.spec import Spec
from sslkit.stage import build_algorithm
from sslkit.timing import step_seconds

TEXT = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?", re.IGNORECASE)
SHARE = 0.9  # of the time that is planned for; the rest is for what takes longer than it was measured to
LEAST = 10  # steps of a stage
SAMPLE = 64  # images whose evaluation is timed
VALIDATIONS = 11  # evaluations of a stage, at most, where there is a validation part


def refuse_steps(request: Mapping[str, object]) -> None:
    """A request for a time sets no steps itself.

    Raises:
        UserError: it does.
    """
    lengths = [f"{stage}.{name}" for stage in STAGES for name in ("steps", "epochs", "images")]
    given = next((key for key in lengths if key in request), None)
    if request.get("time") is not None and given:
        raise UserError(f"--time sets the steps of all stages, and so does {given}; drop one of them")


def in_seconds(flat: Flat) -> Flat:
    """The request with its `time`, as 2h, 90m, 45s or 1h30m, as a number of seconds.

    Raises:
        UserError: it is not like that, or 0.
    """
    text = flat.get("time")
    if not isinstance(text, str) or text == "auto":
        return flat
    match = TEXT.fullmatch(text.replace(" ", ""))
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    total = 3600 * hours + 60 * minutes + seconds
    if not total:
        raise UserError(f"--time must be like 2h, 90m, 45s or 1h30m, got {text!r}")
    return flat | {"time": total}


def timed(config: Config, machine: Machine) -> Config:
    """The configuration with the steps that its time came to.

    Raises:
        UserError: a time was asked for and nothing was timed.
    """
    if config.time is not None and not machine.steps:
        raise UserError("time is for `sslkit run`; the arms of a comparison have the same steps: set those")
    return replace(config, **{stage: replace(getattr(config, stage), steps=n) for stage, n in machine.steps.items()})


def within(machine: Machine, prepared: Prepared, began: float, specs: Callable[[Prepared], Sequence[Spec]]) -> Machine:
    """`machine` with the steps of every stage, where a time is asked for and they were not set before.

    The stages keep the ratio of their steps. Start-up, as it was, and evaluation are taken off the time; a stage that
    skips rejected images is timed without that, and so takes less.

    Args:
        began: `time.perf_counter()` at the start of the run.
        specs: the specifications of the stages of a request without a time.

    Raises:
        UserError: the time is too short for ten steps of every stage, or several processes share the steps.
    """
    asked = prepared.config.time
    if asked is None or machine.steps:
        return machine
    if machine.processes > 1:
        raise UserError("--time needs a run of one process, as steps of several are not timed before; set the steps")
    todo = specs(replace(prepared, config=replace(prepared.config, time=None)))
    start = time.perf_counter()
    seconds = step_seconds(todo, prepared.images, prepared.split)
    evaluating = sum(evaluation_seconds(spec, prepared.images, prepared.split) for spec in todo)
    now = time.perf_counter()
    around = (now - began) + (now - start) + evaluating  # steps are timed once more, for the plan
    training = sum(seconds[spec.key].step * spec.training["steps"] for spec in todo)
    factor = (SHARE * asked - around) / training
    smallest = LEAST / min(spec.training["steps"] for spec in todo)
    if factor < smallest:
        needed = (around + smallest * training) / SHARE
        raise UserError(f"--time is too short: {LEAST} steps of every stage and all around need {duration(needed)}")
    return replace(machine, steps={spec.stage: int(factor * spec.training["steps"]) for spec in todo})


def evaluation_seconds(spec: Spec, images: Images, split: Split) -> float:
    """Seconds that all evaluations of a stage take, from one of a few images."""
    algorithm, average = build_algorithm(replace(spec, parent=""), None)
    if not algorithm.classifies:
        return 0.0
    some = images.subset(split.test[:SAMPLE])
    seconds = []
    for _ in range(2):  # the first one also warms up
        start = time.perf_counter()
        logits(algorithm, average.network, some, spec)
        seconds.append(time.perf_counter() - start)
    rounds = 1 + len(algorithm.networks())
    validated = VALIDATIONS * (len(split.test) + len(split.val)) if len(split.val) else 0
    return min(seconds) / len(some) * (rounds * len(split.test) + validated)
