"""A run: a list of stages, each trained or found in the store, and the table of what each gave."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from sslkit import budget, ranks, registry
from sslkit.config import Config, Part, Training, flatten
from sslkit.engine import Engine
from sslkit.errors import Stopped, UserError
from sslkit.finished import check_weights, has_weights
from sslkit.introduction import introduction
from sslkit.machine import Machine, versions, with_peak
from sslkit.network import PatchEncoder
from sslkit.output import say
from sslkit.plugins import load_plugin
from sslkit.prepare import Prepared, prepare
from sslkit.progress import Bar, Interrupt
from sslkit.recipes import layers
from sslkit.record import machine_of, run_digest, run_name, write_run
from sslkit.report import last_values, plan_table, read_results, repetition, summary
from sslkit.resolve import SLOTS
from sslkit.spec import Spec, specify
from sslkit.stage import build, build_network, enough_memory
from sslkit.start import content_hash, first_weights
from sslkit.store import PathLike, Store, is_done, read_json, remove, unfinished, without_weights, write_json
from sslkit.timing import Seconds, step_seconds
from sslkit.weights import load_weights


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
    prepared = replace(prepared, config=budget.timed(prepared.config, machine))
    config = prepared.config
    found = [_pretrain(prepared, machine)] if _pretrains(config) else []
    labels_only = {"algo": Part("supervised")}

    def add(label: str, method: str, parts: Mapping[str, Part], training: Training, parent: Stage | None) -> None:
        spec = specify(
            config,
            "finetune" if label == "finetune" else "semi",
            parts,
            training,
            parent.spec.key if parent else "",
            prepared.images,
            prepared.split,
            machine,
            weights="" if parent else content_hash(first_weights(config)),
        )
        found.append(Stage(label, method, spec, parent.label if parent else None))

    if "finetune" in config.stages:
        add("finetune", "supervised", labels_only, config.finetune, found[-1] if found else None)
    start = found[-1] if found else None
    if "semi" not in config.stages:
        return found
    if config.control.run:
        training = {f.name: getattr(config.semi, f.name) for f in fields(Training)}
        control = Training(**training | {"lr": config.control.lr or config.semi.lr})
        add("finetune+", "supervised", labels_only, control, start)
    parts = {s: p for s in ("algo", *SLOTS) if (p := getattr(config, s)) is not None}
    method = " x ".join(part.name for part in (config.algo, config.mixer) if part and part.name != "none")
    add("semi", method, parts, config.semi, start)
    return found


def _pretrains(config: Config) -> bool:
    """Whether there is a stage `pretrain`: convolutional networks have no patches to mask."""
    learns = bool(config.pretrain.data) or issubclass(registry.load("backbone", config.backbone.name), PatchEncoder)
    return "pretrain" in config.stages and learns


def _pretrain(prepared: Prepared, machine: Machine) -> Stage:
    config, own = prepared.config, prepared.of("pretrain")
    chosen = config.pretrainer or Part("supervised")
    parts = {"pretrainer" if config.pretrainer else "algo": chosen}
    first = content_hash(first_weights(config))
    spec = specify(own.config, "pretrain", parts, config.pretrain, "", own.images, own.split, machine, first)
    return Stage("pretrain", chosen.name, spec)


def run(
    request: Mapping[str, Any] | None = None,
    *,
    recipe: str | None = None,
    config: PathLike | None = None,
    plugins: Sequence[PathLike] = (),
    runs: PathLike = "runs",
    name: str | None = None,
    again: bool = False,
    save_every: float = 120.0,
    keep: bool = False,
    console: Console | None = None,
    **keys: Any,
) -> Run:
    """Train what is asked for, or show it where it is finished; what was interrupted is gone on with.

    Args:
        request: configuration by key, as in {"algo": "fixmatch", "semi.lr": 1e-3}.
        recipe: name of a recipe, beneath `config`.
        config: a TOML file beneath `request`.
        plugins: files that register parts.
        runs: root of the store.
        name: beginning of the run folder's name.
        again: repeat a finished run beside the first and compare the weights.
        save_every: seconds between checkpoints.
        keep: train stages again whose weights a comparison dropped.
        keys: as `request`, for keys without a dot: run(algo="fixmatch", seed=3).

    Raises:
        UserError: anything in the request that cannot be, a full disk, a loss that is not finite.
        Stopped: interrupted; the same call goes on.
    """
    began = time.perf_counter()
    with ranks.group():
        console = (console or Console(stderr=True, emoji=False)) if ranks.leads() else Console(quiet=True)
        for plugin in plugins:
            load_plugin(plugin)
        asked = layers(recipe, config, {**(request or {}), **keys})
        if not save_every >= 0:
            raise UserError(f"--save-every is a number of seconds and must be 0 or more, got {save_every}")
        store = Store(runs)
        prepared = ranks.leader_first(lambda: prepare(asked, store.data))
        folder, suffix, finished = ranks.led(lambda: _folder(store, prepared, name, again))
        if finished and (has_weights(folder) or not keep):
            say(console, f"{folder} is finished; --again repeats it")
            return Run(folder, ranks.led(lambda: read_results(folder)))
        machine = ranks.led(lambda: _plan(store, folder, suffix, prepared, console, began))
        machine.use()
        todo = stages(prepared, machine)
        keys = {s.label: s.spec.key for s in todo}
        ranks.agree([*keys.values()])
        with Interrupt() as interrupt:
            wanted = [stage.label for stage in todo] if keep else _starts(store, todo, suffix)
            rows = _train(store, todo, prepared, suffix, save_every, interrupt, console, wanted)
        compared = {"repeats": repetition(store.stages, keys, suffix)} if again and ranks.leads() else {}
        results = ranks.led(lambda: summary(folder, flatten(prepared.config), asdict(machine), rows) | compared)
        if ranks.leads():
            _conclude(store, folder, results, console)
        return Run(folder, results)


def _conclude(store: Store, folder: Path, results: dict[str, Any], console: Console) -> None:
    """Store what came out, and say whether a repetition agrees."""
    if "repeats" in results:
        say(console, results["repeats"])
    with store.alone():
        if not is_done(folder):
            write_json(folder / "results.json", results)


def _folder(store: Store, prepared: Prepared, name: str | None, again: bool) -> tuple[Path, str, bool]:
    """The run's folder; what its stages' names end in: nothing, or "-2" and so on for a repetition; is it finished?"""
    name, digest = name or run_name(prepared.config), run_digest(prepared)
    if ranks.count() > 1:  # they see other micro-batches than one process, so it is another run
        digest = hashlib.sha256(f"{digest} {ranks.count()} processes".encode()).hexdigest()[:8]
    first = store.run_folder(name, digest, again=False)
    if again:
        if not is_done(first):
            raise UserError(f"{first} is not finished, so there is nothing to repeat; run it without --again")
        check_weights(first)  # they are compared with
    folder = store.run_folder(name, digest, again=again)
    return folder, folder.name.rpartition(digest)[2], is_done(folder) and not again


def _plan(store: Store, folder: Path, suffix: str, prepared: Prepared, console: Console, began: float) -> Machine:
    """Decide on machine and stages, time them, say it all, and store it, unless an unfinished run stored it."""
    first = folder.with_name(folder.name.removesuffix(suffix))  # a repetition has the machine of the first run
    machine = machine_of(first, prepared.config)
    with console.status("timing steps, to fill the time"):
        machine = budget.within(machine, prepared, began, lambda p: [s.spec for s in stages(p, machine)])
    todo = stages(prepared, machine)
    new = [s.spec for s in todo if not store.begun(s.spec.key + suffix)]
    seconds: dict[str, Seconds] = {}
    with console.status("timing three steps of each stage"):  # also the first time that all is put together
        for data in filter(None, (prepared, prepared.source)):
            mine = [spec for spec in new if spec.data["fingerprint"] == data.images.fingerprint]
            seconds |= step_seconds(mine, data.images, data.split)
    weights = first_weights(prepared.config)
    if weights and todo[0].spec in new:  # before anything is written: the file may not fit
        console.print(load_weights(build_network(todo[0].spec), weights).table())
    for line in introduction(prepared, machine, [stage.spec for stage in todo]):
        say(console, line)
    table = plan_table([(s.label, s.spec, seconds.get(s.spec.key)) for s in todo])
    if machine.processes > 1:
        del table.columns[-2:]  # shares and times, which are not known
    console.print(table)
    store.prepare()
    with store.alone():
        if (folder / "run.json").is_file():  # interrupted before, or another process began it meanwhile
            machine = machine_of(folder, prepared.config)
        else:
            write_run(folder, prepared, machine, {s.label: s.spec.key + suffix for s in todo})
        remove(unfinished(folder))
    return machine


def _train(
    store: Store,
    todo: list[Stage],
    prepared: Prepared,
    suffix: str,
    save_every: float,
    stop: Interrupt,
    console: Console,
    wanted: Collection[str | None],
) -> list[dict[str, Any]]:
    """Train the stages that are missing, and those of which the weights are `wanted` and missing; all their results."""
    rows = []
    tell = partial(say, console)
    for stage in todo:
        if ranks.anyone(stop()):
            raise Stopped(f"stopped before {stage.label}")
        key = stage.spec.key + suffix
        waiting = partial(tell, f"another process trains {stage.label}; waiting for it")
        with ranks.lead(store.working(key, waiting, stage.label in wanted)) as work:
            if work is not None:
                parent = next((store.stages / (s.spec.key + suffix) for s in todo if s.label == stage.parent), None)
                if ranks.leads():
                    write_json(work / "spec.json", asdict(stage.spec))
                with enough_memory(stage.spec), Bar(stage.label, stage.spec, console) as bar:
                    own = prepared.of(stage.label)
                    first = None if stage.parent else first_weights(prepared.config)
                    job = build(stage.spec, own.images, own.split, parent, ranks.count(), first)
                    engine = Engine(job, work, save_every=save_every, report=bar, stop=stop, say=tell)
                    result = with_peak(stage.spec.device, engine.train)
                if ranks.leads():
                    stamped = result | {"versions": versions()}
                    write_json(work / "result.json", stamped | last_values(work / "metrics.jsonl"))
        found = read_json(store.stages / key / "result.json")
        rows.append({"stage": stage.label, "method": stage.method, "key": key, "new": work is not None, **found})
    return rows


def _starts(store: Store, todo: list[Stage], suffix: str) -> set[str | None]:
    """Labels of the stages from which others that are to be trained start."""
    found: set[str | None] = set()
    for stage in reversed(todo):
        folder = store.finished(stage.spec.key + suffix)
        if folder is None or (stage.label in found and without_weights(folder)):
            found.add(stage.parent)
    return found
