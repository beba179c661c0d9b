"""What a run stores of itself: configuration, split, machine, versions, and which stages are its own."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from sslkit.config import Config, flatten
from sslkit.errors import UserError
from sslkit.files import write_text
from sslkit.machine import Machine, description, resolve_machine
from sslkit.plugins import plugin_hashes
from sslkit.prepare import Prepared
from sslkit.resolve import to_toml
from sslkit.spec import stamp
from sslkit.store import read_json, write_json

KEY = re.compile(r"[0-9a-f]{16}(-\d+)?")  # name of a stage's folder; nothing else is looked at, or removed
FREE = ("grad_checkpoint", "pretrain.dir")  # like the threads and the folder of the data


def run_name(config: Config) -> str:
    """Beginning of a run folder's name, where no other is asked for: data set, algorithm, mixer, backbone."""
    names = [config.data.name.partition(":")[0], config.algo.name, config.mixer.name if config.mixer else ""]
    return "-".join(filter(None, [*names, config.backbone.name.replace(":", "_")]))


def run_digest(prepared: Prepared) -> str:
    """8 hexadecimal digits of configuration, data and split; of neither the threads nor where the data came from."""
    flat = flatten(prepared.config)
    for name in ("threads", "data.dir", "data.download", "data.cache_gb", "data.workers", *FREE):
        flat.pop(name)
    flat["plugins"] = sorted(plugin_hashes().values())
    flat["images"] = prepared.images.fingerprint
    flat["split"] = {name: stamp(index) for name, index in vars(prepared.split).items()}
    if prepared.source:
        flat["pretrain.images"] = prepared.source.images.fingerprint
    return hashlib.sha256(json.dumps(flat, sort_keys=True).encode()).hexdigest()[:8]


def read_run(folder: Path) -> dict[str, Any]:
    """What a run stored of itself.

    Raises:
        UserError: it is missing or damaged.
    """
    about = read_json(folder / "run.json")
    named = about.get("stages") if isinstance(about, dict) else None
    if not isinstance(named, dict) or not all(isinstance(n, str) and KEY.fullmatch(n) for n in named.values()):
        raise UserError(f"{folder / 'run.json'} is damaged: it does not name the run's stages")
    return about


def machine_of(folder: Path, config: Config) -> Machine:
    """What the unfinished run stored, else what is decided now.

    Raises:
        UserError: what it stored is damaged.
    """
    if (folder / "run.json").is_file():
        try:
            machine = Machine(**read_run(folder)["machine"])
        except (KeyError, TypeError):
            raise UserError(f"{folder / 'run.json'} is damaged: it does not name the run's machine") from None
        torch.set_num_threads(machine.threads)
        return machine
    return resolve_machine(config)


def write_run(folder: Path, prepared: Prepared, machine: Machine, stages: Mapping[str, str]) -> None:
    """Store what a run needs to be gone on with and repeated.

    Args:
        stages: label -> name of the stage's folder.

    Raises:
        UserError: it cannot be written.
    """
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
    write_json(folder / "data.json", {"remarks": prepared.remarks, **prepared.stored})
    about = {
        "machine": asdict(machine),
        "versions": description(),
        "plugins": plugins,
        "command": sys.argv,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": dict(stages),
    }
    write_json(folder / "run.json", about)
