"""What a run says before it begins."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sslkit.config.duration import duration
from sslkit.data import is_own
from sslkit.data.on_demand import OnDemand
from sslkit.machine import Machine, unusable_gpu
from sslkit.prepare import Prepared
from sslkit.record.advice import before
from sslkit.terminal import count
from sslkit.training.spec import Spec


def introduction(prepared: Prepared, machine: Machine, specs: Sequence[Spec]) -> list[str]:
    """What was decided: backbone, data and its parts, machine; and what is amiss in that.

    Args:
        specs: of the run's stages.
    """
    config, s = prepared.config, prepared.split
    among = {"complement": "without the labelled ones", "all": "the labelled ones among them"}
    precision = machine.precision + (f" ({machine.reason})" if machine.reason else "")
    labelled = f"{len(s.labeled)} labelled" + (f" and {len(s.val)} for validation" if len(s.val) else "")
    pool = f"{len(s.pool)} unlabelled ({among.get(config.data.pool, config.data.pool)})"
    strange = f" and {len(s.unknown)} of unknown classes" if len(s.unknown) else ""
    lines = [
        *prepared.remarks,
        f"{config.data.name}: {prepared.images.size} x {prepared.images.size} px, "
        f"{len(prepared.images.classes)} classes; {labelled}, {pool}, {len(s.test)} test{strange}",
        _hidden(prepared),
        prepared.images.pixels.describe() if isinstance(prepared.images.pixels, OnDemand) else "",
        f"{machine.device}, {precision}, {count(machine.threads, 'thread')}",
        f"steps are set for a run of about {duration(config.time)}" if config.time else "",
        f"{machine.processes} processes share every step; steps are not timed before" if machine.processes > 1 else "",
        unusable_gpu(),
    ]
    if "pretrain" in config.stages and specs[0].stage != "pretrain":
        lines.append(f"stage pretrain is skipped: {config.backbone.name} has no patches to mask")
    if prepared.source:
        labels, classes = len(prepared.source.split.labeled), len(prepared.source.images.classes)
        lines.append(
            f"pretrain learns the {classes} classes of {config.pretrain.data} from {labels} labelled images; "
            "the next stage starts from its trunk, with a new head"
        )
    elif specs[0].stage == "pretrain" and "weights" in prepared.stored:
        lines.append("pretrain starts from the encoder of the weights, without its head; the decoder is new")
    if config.data.tune:
        lines.append("--tune: a quarter of the training images stands in for the test images, which stay hidden")
    return [*filter(None, lines), *before(specs, config.data.workers, os.cpu_count() or 1)]


def _hidden(prepared: Prepared) -> str:
    """That labels of one's own data are not used."""
    data, s, images = prepared.config.data, prepared.split, prepared.images
    used, known = len(s.labeled) + len(s.val), int((images.label[: images.train] >= 0).sum())
    if not is_own(data.name) or data.tune or used in (0, known):
        return ""
    rest = "the other images count as unlabelled; --labels all uses all labels"
    return f"{used} of {known} labels are used ({data.labels}), {rest}"
