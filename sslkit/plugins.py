"""Plug-in files: executed when the command line names them, and known by the hash of what was executed.

There is no fence around one: its code does what it likes, with the user's rights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from weakref import WeakKeyDictionary

from sslkit import registry
from sslkit.errors import UserError, one_line

_sources: WeakKeyDictionary[ModuleType, bytes] = WeakKeyDictionary()
_hashes: dict[Path, str] = {}  # sha256 of plug-in files as they were executed


def source_of(module: ModuleType) -> bytes:
    """The file of a module as it was when it was first asked for: what is changed in it later is not what runs."""
    if module not in _sources:
        _sources[module] = Path(str(module.__file__)).read_bytes()
    return _sources[module]


def load_plugin(path: str | os.PathLike[str]) -> None:
    """Execute one plug-in file; the parts it registers are known from then on.

    Raises:
        UserError: no such file, the file fails, or it registers nothing.
    """
    file = Path(path).expanduser().resolve()
    if file in registry.plugins:
        return
    if not file.is_file():
        raise UserError(f"no plug-in file {str(path)!r}")
    spec = importlib.util.spec_from_file_location(f"sslkit_plugin_{len(registry.plugins)}_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"plug-in file {str(path)!r} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with registry.collecting(file) as found:
            _sources[module] = file.read_bytes()
            exec(compile(_sources[module], file, "exec"), module.__dict__)  # no stored byte code, which may be older
            if not found:
                raise UserError("it registers no part; decorate a class with @sslkit.register")
        _hashes[file] = hashlib.sha256(_sources[module]).hexdigest()
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        reason = str(error) if isinstance(error, UserError) else one_line(error)
        raise UserError(f"plug-in file {str(path)!r} cannot be loaded: {reason}") from error


def plugin_hashes() -> dict[str, str]:
    """File -> sha256 of every plug-in file that was loaded, as it was then."""
    return {str(file): _hashes[file] for file in registry.plugins}


def check_plugins(expected: Mapping[str, str]) -> None:
    """The plug-in files that a configuration used are loaded, unchanged.

    Raises:
        UserError: one is not; says which, and the hash it is known by.
    """
    loaded = plugin_hashes()
    for file, digest in expected.items():
        if digest not in loaded.values():
            changed = file in loaded
            why = "has changed since" if changed else f"is needed: give --plugin {file}"
            raise UserError(f"this run used the plug-in file {file}, which {why} (expected sha256 {digest})")
