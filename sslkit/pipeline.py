"""A run: a list of stages, each trained or found in the store, and the table of what each gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from sslkit.config import Config, Flat, Part, Training, flatten
from sslkit.engine import Engine
from sslkit.errors import Stopped, UserError
from sslkit.machine import Machine, unusable_gpu
from sslkit.plugins import load_plugin
from sslkit.prepare import Prepared, prepare
from sslkit.progress import Bar, Interrupt
from sslkit.record import machine_of, run_digest, run_name, write_run
from sslkit.report import agreement, last_quality, plan_table, read_results, summary
from sslkit.resolve import SLOTS, named, read_toml
from sslkit.spec import Spec, specify
from sslkit.stage import build, enough_memory
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
    folder, suffix = _folder(store, prepared.config, name, again)
    if is_done(folder) and not again:
        say(f"{folder} is finished; --again repeats it")
        return Run(folder, read_results(folder))
    machine, todo = _plan(store, folder, suffix, prepared, console)
    with Interrupt() as interrupt:
        rows = _train(store, todo, prepared, suffix, save_every, interrupt, console)
    results = summary(folder, flatten(prepared.config), asdict(machine), rows)
    if again:
        results["repeats"] = _compare(store, todo, suffix)
        say(results["repeats"])
    with store.alone():
        if not is_done(folder):
            write_json(folder / "results.json", results)
    return Run(folder, results)


def _folder(store: Store, config: Config, name: str | None, again: bool) -> tuple[Path, str]:
    """The run's folder, and what its stages' names end in: nothing, or "-2" and so on for a repetition."""
    name, digest = name or run_name(config), run_digest(config)
    first = store.run_folder(name, digest, again=False)
    if again and not is_done(first):
        raise UserError(f"{first} is not finished, so there is nothing to repeat; run it without --again")
    folder = store.run_folder(name, digest, again=again)
    return folder, folder.name.rpartition(digest)[2]


def _plan(store: Store, folder: Path, suffix: str, prepared: Prepared, console: Console) -> tuple[Machine, list[Stage]]:
    """Decide on machine and stages, time them, say it all, and store it, unless an unfinished run stored it."""
    first = folder.with_name(folder.name.removesuffix(suffix))  # a repetition has the machine of the first run
    machine = machine_of(first, prepared.config)
    todo = stages(prepared, machine)
    new = [s.spec for s in todo if not store.begun(s.spec.key + suffix)]
    with console.status("timing three steps of each stage"):  # also the first time that all is put together
        seconds = step_seconds(new, prepared.images, prepared.split)
    for line in _introduction(prepared, machine):
        _say(console, line)
    console.print(plan_table([(s.label, s.spec, seconds.get(s.spec.key)) for s in todo]))
    store.prepare()
    with store.alone():
        if (folder / "run.json").is_file():  # interrupted before, or another process began it meanwhile
            machine = machine_of(folder, prepared.config)
            todo = stages(prepared, machine)
        else:
            write_run(folder, prepared, machine, {s.label: s.spec.key + suffix for s in todo})
        remove(folder.glob(".*.tmp"))
    return machine, todo


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
                write_json(work / "spec.json", asdict(stage.spec))
                with enough_memory(stage.spec), Bar(stage.label, stage.spec, console) as bar:
                    job = build(stage.spec, prepared.images, prepared.split, parent)
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
