"""A run: a list of stages, each trained or found in the store, and the table of what each gave."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from sslkit.checkpoint import write_text
from sslkit.config import Config, Flat, Part, Training, flatten
from sslkit.engine import Engine
from sslkit.errors import Stopped, UserError
from sslkit.machine import Machine, description, resolve_machine, unusable_gpu
from sslkit.plugins import load_plugin, plugin_hashes
from sslkit.prepare import Prepared, prepare
from sslkit.progress import Bar, Interrupt
from sslkit.report import agreement, last_quality, plan_table, read_results, summary
from sslkit.resolve import SLOTS, named, read_toml, to_toml
from sslkit.spec import Spec, specify
from sslkit.stage import build
from sslkit.store import PathLike, Store, is_done, read_json, remove, write_json
from sslkit.timing import step_seconds


@dataclass(frozen=True)
class Stage:
    """One row of the table."""

    label: str  # "finetune", "finetune+", "semi"
    method: str  # "supervised", "ema_teacher x prob_pseudo"
    spec: Spec
    parent: str | None = None  # label


@dataclass(frozen=True)
class Run:
    """A finished run."""

    folder: Path
    results: dict[str, Any]


def stages(prepared: Prepared, machine: Machine) -> list[Stage]:
    """The stages of a run, in the order of their training."""
    config = prepared.config
    around = prepared.images, prepared.split, machine
    labels_only = {"algo": Part("supervised")}
    first = specify(config, "finetune", labels_only, config.finetune, "", *around)
    found = [Stage("finetune", "supervised", first)]
    if config.control.run:
        training = {f: getattr(config.semi, f) for f in Training.__dataclass_fields__}
        control = Training(**training | {"lr": config.control.lr or config.semi.lr})
        spec = specify(config, "semi", labels_only, control, first.key, *around)
        found.append(Stage("finetune+", "supervised", spec, "finetune"))
    parts = {s: p for s in ("algo", *SLOTS) if (p := getattr(config, s)) is not None}
    spec = specify(config, "semi", parts, config.semi, first.key, *around)
    method = " x ".join(part.name for part in (config.algo, config.mixer) if part and part.name != "none")
    return [*found, Stage("semi", method, spec, "finetune")]


def run(
    request: Mapping[str, Any] | None = None,
    *,
    config: PathLike | None = None,
    plugins: Sequence[PathLike] = (),
    runs: PathLike = "runs",
    name: str | None = None,
    again: bool = False,
    save_every: float = 120.0,
    console: Console | None = None,
    **keys: Any,
) -> Run:
    """Train what is asked for, or show it where it is finished; what was interrupted is gone on with.

    Args:
        request: configuration by key, as in {"algo": "fixmatch", "semi.lr": 1e-3}.
        config: a TOML file beneath `request`.
        plugins: files that register parts.
        runs: root of the store.
        name: beginning of the run folder's name.
        again: repeat a finished run beside the first and compare the weights.
        save_every: seconds between checkpoints.
        keys: as `request`, for keys without a dot: run(algo="fixmatch", seed=3).

    Raises:
        UserError: anything in the request that cannot be, a full disk, a loss that is not finite.
        Stopped: interrupted; the same call goes on.
    """
    console = console or Console(stderr=True)
    say = partial(_say, console)
    for plugin in plugins:
        load_plugin(plugin)
    asked: Flat = (read_toml(config) if config else {}) | named({**(request or {}), **keys})
    if not save_every >= 0:
        raise UserError(f"--save-every is a number of seconds and must be 0 or more, got {save_every}")
    store = Store(runs)
    prepared = prepare(asked, store.root / "data")
    digest = run_digest(prepared.config)
    folder = store.run_folder(name or run_name(prepared.config), digest, again=again)
    if is_done(folder) and not again:
        say(f"{folder} is finished; --again repeats it")
        return Run(folder, read_results(folder))
    first = store.run_folder(name or run_name(prepared.config), digest, again=False)
    if again and not is_done(first):
        raise UserError(f"{first} is not finished, so there is nothing to repeat; run it without --again")
    machine = _machine(first, prepared.config)
    todo = stages(prepared, machine)
    suffix = folder.name.rpartition(digest)[2]  # "" or "-2"
    new = [s.spec for s in todo if not store.begun(s.spec.key + suffix)]
    with console.status("timing three steps of each stage"):  # also the first time that all is put together
        seconds = step_seconds(new, prepared.images, prepared.split)
    for line in _introduction(prepared, machine):
        say(line)
    console.print(plan_table([(s.label, s.spec, seconds.get(s.spec.key)) for s in todo]))
    store.prepare()
    with store.alone(folder):
        if (folder / "run.json").is_file():  # interrupted before, or another process began it meanwhile
            machine = _machine(folder, prepared.config)
            todo = stages(prepared, machine)
        else:
            _write_run(folder, prepared, machine, todo, suffix)
        remove(folder.glob(".*.tmp"))
    with Interrupt() as interrupt:
        rows = _train(store, todo, prepared, suffix, save_every, interrupt, console)
    results = summary(folder, flatten(prepared.config), asdict(machine), rows)
    if again:
        results["repeats"] = _compare(store, todo, suffix)
        say(results["repeats"])
    with store.alone(folder):
        if not is_done(folder):
            write_json(folder / "results.json", results)
    return Run(folder, results)


def _train(
    store: Store,
    todo: list[Stage],
    prepared: Prepared,
    suffix: str,
    save_every: float,
    stop: Interrupt,
    console: Console,
) -> list[dict[str, Any]]:
    rows = []
    say = partial(_say, console)
    for stage in todo:
        if stop():
            raise Stopped(f"stopped before {stage.label}")
        key = stage.spec.key + suffix
        with store.working(key, partial(say, f"another process trains {stage.label}; waiting for it")) as work:
            if work is not None:
                parent = next((store.stages / (s.spec.key + suffix) for s in todo if s.label == stage.parent), None)
                job = build(stage.spec, prepared.images, prepared.split, parent)
                write_json(work / "spec.json", asdict(stage.spec))
                with Bar(stage.label, job.spec, console) as bar:
                    result = Engine(job, work, save_every=save_every, report=bar, stop=stop, say=say).train()
                result["pseudo_labels"] = last_quality(work / "metrics.jsonl")
                write_json(work / "result.json", result)
                remove(work.glob("checkpoint-*"))
        found = read_json(store.stages / key / "result.json")
        rows.append({"stage": stage.label, "method": stage.method, "key": key, "new": work is not None, **found})
    return rows


def _compare(store: Store, todo: list[Stage], suffix: str) -> str:
    """Whether the repeated stages left the weights of the first ones."""
    missing = [s.label for s in todo if not store.finished(s.spec.key)]
    if missing:
        return f"nothing to compare with: stage {missing[0]} of the first run is not in the store"
    keys = {s.label: s.spec.key for s in todo}
    apart = {n: agreement(store.stages / (k + suffix), store.stages / k) for n, k in keys.items()}
    if not any(apart.values()):
        return "the weights of all stages agree with the first run bit for bit"
    return "the weights differ from the first run's: " + ", ".join(f"{n} by {d:.3g}" for n, d in apart.items())


def _machine(folder: Path, config: Config) -> Machine:
    """What the unfinished run stored, else what is decided now."""
    stored = folder / "run.json"
    if stored.is_file():
        machine = Machine(**read_json(stored)["machine"])
        torch.set_num_threads(machine.threads)
        return machine
    return resolve_machine(config)


def _write_run(folder: Path, prepared: Prepared, machine: Machine, todo: list[Stage], suffix: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {error.strerror}") from None
    plugins = plugin_hashes()
    text = to_toml(prepared.config)
    if plugins:
        text += "\n[plugins]\n" + "".join(f"{json.dumps(f)} = {json.dumps(h)}\n" for f, h in plugins.items())
    write_text(folder / "config.toml", text)
    split_ = {name: index.tolist() for name, index in vars(prepared.split).items()}
    write_json(folder / "split.json", split_ | {"classes": prepared.images.classes})
    about = {
        "machine": asdict(machine),
        "versions": description(),
        "plugins": plugins,
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": {stage.label: stage.spec.key + suffix for stage in todo},
    }
    write_json(folder / "run.json", about)


def _say(console: Console, sentence: str) -> None:
    """A sentence as it is: names in it are no markup, and lines are not cut."""
    console.print(sentence, markup=False, highlight=False, soft_wrap=True)


def _introduction(prepared: Prepared, machine: Machine) -> list[str]:
    """What was decided: backbone, data and its parts, machine."""
    config, s = prepared.config, prepared.split
    sizes = f"{len(s.labeled)} labelled, {len(s.pool)} in the pool ({config.data.pool}), {len(s.test)} test"
    lines = [
        *prepared.remarks,
        f"{config.data.name}: {prepared.images.size} px, {len(prepared.images.classes)} classes, {sizes}"
        + (f", {len(s.val)} validation" if len(s.val) else ""),
        f"{machine.device}, {machine.precision}, {machine.threads} threads",
        unusable_gpu(),
    ]
    if config.data.tune:
        lines.append("--tune: a quarter of the training part stands in for the test, which stays hidden")
    return list(filter(None, lines))


def run_name(config: Config) -> str:
    names = [config.data.name.partition(":")[0], config.algo.name, config.mixer.name if config.mixer else ""]
    return "-".join(filter(None, [*names, config.backbone.name.replace(":", "_")]))


def run_digest(config: Config) -> str:
    """8 hexadecimal digits of the configuration; the number of threads is not part of it."""
    flat = flatten(config)
    flat.pop("threads")
    flat["plugins"] = sorted(plugin_hashes().values())
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]
