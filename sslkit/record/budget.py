"""`--time`: how many steps each stage has, so that the whole run takes about as long as asked.

They are set once: a run that goes on has those that it began with.
"""

from __future__ import annotations

import time
from dataclasses import replace

from sslkit.config.duration import duration
from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.errors import UserError
from sslkit.machine import Machine
from sslkit.prepare import Prepared
from sslkit.record.stages import stages
from sslkit.training.evaluation import logits
from sslkit.training.spec import Spec
from sslkit.training.stage import build_algorithm
from sslkit.training.timing import step_seconds

SHARE = 0.9  # of the time that is planned for; the rest is for what takes longer than it was measured to
LEAST = 10  # steps of a stage
SAMPLE = 64  # images whose evaluation is timed
VALIDATIONS = 11  # evaluations of a stage, at most, where there is a validation part


def within(machine: Machine, prepared: Prepared, began: float) -> Machine:
    """`machine` with the steps of every stage, where a time is asked for and they were not set before.

    The stages keep the ratio of their steps. Start-up, as it was, and evaluation are taken off the time; a stage that
    skips rejected images is timed without that, and so takes less.

    Args:
        began: `time.perf_counter()` at the start of the run.

    Raises:
        UserError: the time is too short for ten steps of every stage, or several processes share the steps.
    """
    asked = prepared.config.time
    if asked is None or machine.steps:
        return machine
    if machine.processes > 1:
        raise UserError("--time needs a run of one process, as steps of several are not timed before; set the steps")
    untimed = replace(prepared, config=replace(prepared.config, time=None))
    todo = [stage.spec for stage in stages(untimed, machine)]
    start = time.perf_counter()
    seconds = step_seconds(todo, prepared.images, prepared.split)
    evaluating = sum(evaluation_seconds(spec, prepared.images, prepared.split) for spec in todo)
    now = time.perf_counter()
    around = (now - began) + (now - start) + evaluating  # steps are timed once more, for the plan
    todo = [spec for spec in todo if not spec.fitted]
    if not todo:
        raise UserError("--time sets steps, and no stage of this run takes any; drop it")
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
    some = images.subset((split.test if len(split.test) else split.labeled)[:SAMPLE])
    seconds = []
    for _ in range(2):  # the first one also warms up
        start = time.perf_counter()
        logits(algorithm, average.network, some, spec)
        seconds.append(time.perf_counter() - start)
    if spec.fitted:  # its features, each computed once
        asked = len(split.labeled) + int(spec.data.get("pool", [0])[0]) + len(split.test)
        return min(seconds) / len(some) * asked
    rounds = 1 + len(algorithm.networks())
    validated = VALIDATIONS * (len(split.test) + len(split.val)) if len(split.val) else 0
    return min(seconds) / len(some) * (rounds * len(split.test) + validated)
