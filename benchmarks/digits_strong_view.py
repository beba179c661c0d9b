"""Which strong view on handwritten digits: each policy on the same seeds, paired differences from the first.

    python -m benchmarks.digits_strong_view --seeds 8 --policy plain --policy usb-n1

A policy is shift, rotation, brightness and contrast of the digits' own strong view, and the named RandAugment after it.
One core; an interrupted call goes on. `--tune --first 100` looks at a part of the training images instead of the test.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import click
from rich.console import Console

import sslkit
from benchmarks.digits_evidence import interval
from sslkit.config.resolve import parse_set

SETTINGS = {
    **{"finetune.steps": 300, "finetune.lr": 1e-3, "semi.steps": 300, "semi.lr": 1e-3, "eval.decay": 0.97},
    **{"backbone": "vit_micro", "threads": 1, "control.run": False, "precision": "fp32"},
}


@click.command()
@click.option("--policy", "policies", multiple=True, required=True, metavar="NAME[,KEY=VALUE…]")
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2))
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--tune", is_flag=True, help="Hide the real test.")
@click.option("--runs", default="runs", show_default=True, metavar="DIR")
def main(policies: Sequence[str], seeds: int, first: int, tune: bool, runs: str) -> None:
    """Train every policy on every seed and print the table in markdown."""
    top1: dict[str, list[float]] = {policy: [] for policy in policies}
    for seed in range(first, first + seeds):
        for policy in policies:
            keys: dict[str, Any] = {**SETTINGS, **strong(policy), "seed": seed, "data.tune": tune}
            results = sslkit.run(keys, runs=runs, console=Console(quiet=True)).results
            semi = next(row for row in results["stages"] if row["stage"] == "semi")
            top1[policy].append(100 * semi["networks"]["averaged"]["top1"])
            click.echo(f"seed {seed}, {policy}: {top1[policy][-1]:.1f}", err=True)
    print("| strong view | top-1 %, mean | sd | each seed | against the first, 95% interval |\n|---|---|---|---|---|")
    for policy, values in top1.items():
        each = " ".join(f"{v:.1f}" for v in values)
        mean, low, high = interval(values, top1[policies[0]])
        against = "" if policy == policies[0] else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        print(f"| {policy} | {statistics.mean(values):.1f} | {statistics.stdev(values):.1f} | {each} | {against} |")


def strong(policy: str) -> dict[str, Any]:
    """`usb-n1,cutout=0.3` -> keys of the strong view."""
    name, *more = policy.split(",")
    keys = {"views.strong.randaugment": "none" if name == "plain" else name}
    return keys | {f"views.strong.{key}": value for key, value in map(parse_set, more)}


if __name__ == "__main__":
    main()
