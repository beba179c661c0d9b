"""One stage trained in its folder: what it is, the training, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sslkit.data import Images
from sslkit.data.splits import Split
from sslkit.machine import ranks, versions, with_peak
from sslkit.machine.allocator import keeping
from sslkit.store import drives, write_json
from sslkit.training.engine import Engine, Report
from sslkit.training.fitting import fit
from sslkit.training.log import last_values
from sslkit.training.networks import start_networks
from sslkit.training.spec import Spec
from sslkit.training.stage import build, build_algorithm, feasible


def train(
    spec: Spec,
    images: Images,
    split: Split,
    folder: Path,
    parent: Path | None,
    weights: Path | None,
    features: Path,
    *,
    save_every: float,
    report: Report,
    stop: Callable[[], bool],
    say: Callable[[str], None],
    saved: Callable[[Path], None] = lambda log: None,
) -> None:
    """Train a stage, from its last checkpoint on where it has one; at the end its folder holds `result.json`.

    Args:
        folder: the stage's working folder.
        parent: folder of the stage that it starts from.
        weights: file that it starts from instead.
        features: folder of the features that stages share.
        save_every, report, stop, say, saved: as of `Engine`.

    Raises:
        UserError: a part refuses its options, memory is not enough, a loss is not finite, the disk is full.
        Stopped: asked to stop; a checkpoint is written.
    """
    if ranks.leads():
        write_json(folder / "spec.json", asdict(spec))
    if spec.fitted:
        parts = build_algorithm(spec, parent, weights)
        _write(folder, ranks.led(lambda: fit(spec, *parts, images, split, folder, features, report, say)))
        return
    with feasible(spec), keeping(spec.device):
        job = build(spec, images, split, parent, ranks.count(), weights)
        engine = Engine(job, folder, save_every=save_every, report=report, stop=stop, say=say, saved=saved)
        result = with_peak(spec.device, engine.train)
    for sentence in drives.said():
        say(sentence)
    _write(folder, result)


def _write(folder: Path, result: dict[str, Any]) -> None:
    if ranks.leads():
        about = result | {"versions": versions()} | last_values(folder / "metrics.jsonl")
        write_json(folder / "result.json", about)


def check_adapter(spec: Spec) -> None:
    """Make sure that a stage's adapter fits its network, before a stage without it is trained.

    Raises:
        UserError: it does not.
    """
    if "adapt" in spec.parts:
        start_networks(spec, None, None)
