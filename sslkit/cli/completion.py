"""What a shell completes: names of parts, recipes and studies, of runs in the store. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from sslkit import registry

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def parts(*among: str) -> Complete:
    """Names of parts of these kinds, or of all; of a list with commas, as of `sslkit compare`, the last one."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        known = (entry for kind in among or registry.KINDS for entry in registry.entries(kind))
        return _items({f"{before}{comma}{e.name}": e.description for e in known if e.name.startswith(last)}.items())

    return complete


def kinds(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What `sslkit list` lists."""
    words = [*(f"{kind}s" for kind in registry.KINDS), "recipes", "studies"]
    return _items((word, "") for word in words if word.startswith(incomplete))


def recipes(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of recipes: of their files."""
    return _items((name, "") for name in _stems("recipes") if name.startswith(incomplete))


def studies(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of the studies in the box, or files."""
    found = _items((name, "") for name in _stems("harness/studies") if name.startswith(incomplete))
    return found or [CompletionItem(incomplete, type="file")]


def runs(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Folders of runs in the store called runs, with it before them; other folders where none begins so."""
    found = [str(file.parent) for file in sorted(Path("runs").glob("*/run.json"))]
    return _items((name, "") for name in found if name.startswith(incomplete)) or [
        CompletionItem(incomplete, type="dir")
    ]


def stored(*files: str) -> Complete:
    """Names in the store of `--runs`, of folders that hold one of these files."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        root = Path(context.params.get("runs") or context.params.get("root") or "runs")
        found = sorted({file.parent.name for name in files for file in root.glob(f"*/{name}")})
        return _items((name, "") for name in found if name.startswith(incomplete))

    return complete


def _items(found: Iterable[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(name, help=about or None) for name, about in found]


def _stems(folder: str) -> list[str]:
    return sorted(file.stem for file in Path(__file__).parents[1].joinpath(folder).glob("*.toml"))
