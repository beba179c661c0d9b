"""A finished run as one folder, or one zip file, that needs nothing beside it: to be taken to another machine."""

from __future__ import annotations

import json
import shutil
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import tomli_w

from sslkit.finished import check_weights, stage_folders
from sslkit.plugins import plugin_hashes
from sslkit.store import bases, read_json
from sslkit.store.files import filling, new_file, new_folder, replacing

OWN = ("results.json", "split.json", "data.json")  # beside run.json and config.toml, which name plug-in files
File = tuple[str, Path | bytes]  # name in the folder, and what is in it


def pack(run: Path, out: Path) -> list[str]:
    """Write all that a finished run needs, but its images: configuration, split, results, the stages with their
    weights, and the plug-in files that it used, into a folder, or a zip file of that folder where `out` ends in .zip.

    Returns the names of the plug-in files in the folder.

    Raises:
        UserError: no such run, weights that were dropped, a plug-in file that is not loaded, `out` is there.
    """
    zipped = out.suffix.lower() == ".zip"
    (new_file if zipped else new_folder)(out)
    check_weights(run)
    plugins = _plugins(run)
    with replacing(out) if zipped else filling(out) as temporary:
        write = _zip if zipped else _folder
        write(temporary, out.stem, [*_files(run, plugins), *plugins.items()])
    return [*plugins]


def _plugins(run: Path) -> dict[str, Path | bytes]:
    """Name in the folder -> file of each plug-in that the run used."""
    wanted, found = set(read_json(run / "run.json")["plugins"].values()), dict[str, Path | bytes]()
    for file, digest in plugin_hashes().items():
        name = f"plugins/{Path(file).name}"
        if digest in wanted:
            found[name if name not in found else f"plugins/{digest[:8]}_{Path(file).name}"] = Path(file)
            wanted.remove(digest)
    return found


def _files(run: Path, plugins: dict[str, Path | bytes]) -> Iterator[File]:
    """All but the plug-in files themselves, which are named by their place in the folder."""
    hashes = plugin_hashes()
    named = {name: hashes[str(file)] for name, file in plugins.items()}
    about = read_json(run / "run.json") | {"plugins": named}
    config = tomllib.loads((run / "config.toml").read_text("utf-8")) | ({"plugins": named} if named else {})
    yield "run.json", (json.dumps(about, indent=1) + "\n").encode()
    yield "config.toml", tomli_w.dumps(config).encode()
    yield from ((name, run / name) for name in OWN if (run / name).is_file())
    frozen = {}
    for folder in stage_folders(run).values():
        yield from ((f"stages/{folder.name}/{p.name}", p) for p in sorted(folder.iterdir()) if p.name[0] != ".")
        if base := bases.base_of(folder):
            frozen[base] = bases.base_file(folder, base)
    yield from ((f"{bases.FOLDER}/{file.name}", file) for file in frozen.values())


def _folder(out: Path, _: str, files: list[File]) -> None:
    for name, source in files:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, bytes):
            (out / name).write_bytes(source)
        else:
            shutil.copyfile(source, out / name)


def _zip(out: Path, root: str, files: list[File]) -> None:
    """Stored as they are: weights do not get smaller."""
    with zipfile.ZipFile(out, "w") as archive:
        for name, source in files:
            if isinstance(source, bytes):
                archive.writestr(f"{root}/{name}", source)
            else:
                archive.write(source, f"{root}/{name}")
