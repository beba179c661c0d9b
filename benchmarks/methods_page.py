"""The page of methods, docs/methods.md, made of what the algorithms say of themselves.

python -m benchmarks.methods_page > docs/methods.md
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from sslkit import registry
from sslkit.contracts import Algorithm
from sslkit.frozen import OnFeatures
from sslkit.registry import Entry

FAMILIES = {
    "Labels alone": "supervised",
    "On frozen features, without a gradient": "knn label_spreading linear prototypes self_training sgmm",
    "Consistency": "pi_model mean_teacher vat ict pseudo_label",
    "Mixing labelled and unlabelled images": "mixmatch remixmatch",
    "FixMatch and what it became": (
        "adamatch crmatch dash debiaspl defixmatch ema_teacher finessl fixmatch flexmatch freematch fullmatch "
        "prediction_powered cgmatch refixmatch regmixmatch sequencematch multimatch shrinkmatch softmatch uda"
    ),
    "Memories and graphs": "comatch simmatch simmatchv2",
    "Several networks, or several rounds": "meta_pseudo_labels noisy_student",
    "Predictions of other networks": "vpet dho zeromatch",
    "Pools with classes of their own": "iomatch openmatch prosub ssb",
    "Classes that are not alike in number": "abc acr adello cdmad cossl darp daso saw simpro udal crest",
}
HEAD = """\
# Methods

Every algorithm of `sslkit list algorithms`; made by `python -m benchmarks.methods_page`. What one computes, which of
its defaults are published and where it leaves paper or code stands at the beginning of its file, the link. Oracles
are written from the papers' equations, with loops and in float64, and not from the files; `sslkit check NAME` tries the
contracts. For classes that are not alike in number `--imbalance` makes long tails of data whose classes are, for pools
with classes of their own `--open-set` takes classes for unknown.

Published figures are not on this page: protocols differ too much for one column. All were tried on
[small images](results/zoo.md) at one setting; what was measured with care is in [what was measured](results/README.md).
"""


def page() -> str:
    entries = {entry.name: entry for entry in registry.entries("algorithm") if entry.origin == "built in"}
    tests = {file.name: file.read_text("utf-8") for file in sorted(Path("tests/algorithms").glob("test_*.py"))}
    lines = [HEAD]
    for family, names in FAMILIES.items():
        lines += [f"## {family}", "", "| method | what it does | paper | slots | oracle |", "|---|---|---|---|---|"]
        lines += [row(entries.pop(name), tests) for name in sorted(names.split()) if name in entries]
        lines.append("")
    assert not entries, f"of no family: {', '.join(entries)}"
    return "\n".join(lines)


def row(entry: Entry, tests: Mapping[str, str]) -> str:
    cls: type[Algorithm] = registry.load_entry(entry)
    slots = ", ".join(f"{slot} `{name}`" for slot, name in cls.slots.items())
    slots = slots or ("no step" if issubclass(cls, OnFeatures) else "")
    oracle = next(oracles(entry.name, tests), "")
    cells = [f"[`{entry.name}`](../algorithms/{entry.name}.py)", entry.description, entry.paper, slots, oracle]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def oracles(name: str, tests: Mapping[str, str]) -> Iterator[str]:
    """Files of tests that speak of a method, the one of its own name first, then those that have it most often."""
    said = {file: len(re.findall(rf"\b{name}\b", text)) for file, text in tests.items()}
    shared = {"test_algorithms.py", "test_adapters.py", "test_guard.py"}
    found = [file for file in sorted(said, key=lambda file: -said[file]) if said[file] and file not in shared]
    own = [file for file in tests if file.removeprefix("test_").startswith(name)]
    yield from (f"[{file}](../tests/algorithms/{file})" for file in [*own, *found])


if __name__ == "__main__":
    click.echo(page(), nl=False)
