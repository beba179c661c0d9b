"""Who imports whom, file by file and room by room: `python -m tests.architecture.imports [CHECKOUT]` counts it.

A room is a folder of Python files; a file at the root of the kernel or of the harness is a room of its own. Imports
within functions and for types count too, so what is one way here is one way in every reading.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from sslkit.terminal import count

ROOT = Path(__file__).parents[2]
BESIDE = ("algorithms", "backbones", "harness")  # folders at the root, which are links in `sslkit/`
Graph = dict[str, set[str]]  # name -> names that it imports


def sources(folder: str, root: Path = ROOT) -> list[Path]:
    """Python files of a folder at the root; what is linked into `sslkit/` belongs to the folder it is linked from."""
    top = root / folder
    inside = [p for p in top.rglob("*.py") if not (folder == "sslkit" and p.relative_to(top).parts[0] in BESIDE)]
    return sorted(p for p in inside if "__pycache__" not in p.parts)


def module_of(file: Path, root: Path = ROOT) -> str:
    """The dotted name by which a file is imported."""
    parts = [*file.relative_to(root).with_suffix("").parts]
    parts = ["sslkit", *parts] if parts[0] in BESIDE else parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(file: Path, root: Path = ROOT) -> Iterator[tuple[str, str]]:
    """What a file imports: module and the name taken from it, "" of the module itself; relative ones made absolute."""
    package = module_of(file, root).split(".")
    package = package if file.name == "__init__.py" else package[:-1]
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((module, alias.name) for alias in node.names)


def files(root: Path = ROOT) -> Graph:
    """Module -> modules of the project that it imports; of `from a import b` it is a.b where that is a module."""
    known = {module_of(p, root): p for folder in ("sslkit", *BESIDE) for p in sources(folder, root)}
    graph: Graph = {}
    for name, file in known.items():
        taken = [(module, f"{module}.{what}") for module, what in imported(file, root)]
        graph[name] = {whole if whole in known else module for module, whole in taken} & known.keys() - {name}
    return graph


def room(module: str, root: Path = ROOT) -> str:
    """The room of a module: its folder, or itself where it stands at the root of the kernel or the harness."""
    path = module.removeprefix("sslkit.").replace(".", "/")
    top = root / path if path.split("/")[0] in BESIDE else root / "sslkit" / path
    folder = path if top.is_dir() else path.rpartition("/")[0]
    return folder if folder not in ("", "harness") else path


def rooms(graph: Graph, root: Path = ROOT) -> Graph:
    """Room -> rooms that its files import."""
    found: Graph = {}
    for name, imports in graph.items():
        mine = room(name, root)
        found.setdefault(mine, set()).update({room(other, root) for other in imports} - {mine})
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Sets of names that import each other, directly or not."""
    reach = {name: _reached(graph, name) for name in graph}
    found = {frozenset(other for other in reach[name] if name in reach[other]) for name in graph if name in reach[name]}
    return sorted(map(sorted, found))


def _reached(graph: Graph, start: str) -> set[str]:
    waiting, found = [start], set[str]()
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def levels(graph: Graph) -> dict[str, int]:
    """Name -> 0 where it imports nothing, else one more than the highest that it imports; circles are one level."""
    together = {name: circle for circle in circles(graph) for name in circle}
    found: dict[str, int] = {}

    def level(name: str) -> int:
        if name not in found:
            mine = together.get(name, [name])
            beneath = {other for one in mine for other in graph.get(one, ())} - {*mine}
            found.update(dict.fromkeys(mine, 1 + max(map(level, beneath), default=-1)))
        return found[name]

    for name in graph:
        level(name)
    return found


def tell(graph: Graph, thing: str) -> Iterator[str]:
    """How many there are and import each other, and what is in a circle."""
    depth = 1 + max(levels(graph).values())
    yield f"{count(len(graph), thing)}, {count(sum(map(len, graph.values())), 'import')}, {count(depth, 'level')}"
    for circle in circles(graph):
        yield f"  import each other: {', '.join(circle)}"


def main(root: Path) -> None:
    graph = files(root)
    for line in (*tell(graph, "file"), *tell(rooms(graph, root), "room")):
        print(line)
    top = [file for file in sources("sslkit", root) if file.parent == root / "sslkit"]
    print(f"{count(len(top), 'file')} at the kernel's root; pipeline imports", end=" ")
    print(count(len(graph["sslkit.pipeline"]), "module"))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
