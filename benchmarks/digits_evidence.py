"""What the semi stage adds on handwritten digits: every arm on the same seeds, paired differences, 95% t-intervals.

    python benchmarks/digits_evidence.py --seeds 8 --labels 10/class

One core. Arms of one seed share the fine-tuned network, found in the store; an interrupted call goes on.
The headline is the averaged network at the last step.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import click
import torch
from rich.console import Console

import sslkit
from sslkit.config import Config, Part, flatten
from sslkit.config.resolve import parse_set
from sslkit.harness.numbers.statistics import t_interval
from sslkit.machine import description

SEMI_VIT = "ema_teacher x prob_pseudo"
UNBIASED = f"{SEMI_VIT} (unbiased box)"
CONTROLS = ("finetune", "finetune+")  # both come with every run
ARMS: dict[str, dict[str, Any]] = {
    SEMI_VIT: {"algo": "ema_teacher", "mixer": "prob_pseudo", "mixer.box": "published"},
    UNBIASED: {"algo": "ema_teacher", "mixer": "prob_pseudo", "mixer.box": "unbiased"},
    "ema_teacher x none": {"algo": "ema_teacher", "mixer": "none"},
    "ema_teacher x pseudo": {"algo": "ema_teacher", "mixer": "pseudo"},
    "ema_teacher x pseudo_plus": {"algo": "ema_teacher", "mixer": "pseudo_plus"},
    "fixmatch": {"algo": "fixmatch"},
    "flexmatch": {"algo": "flexmatch"},
    "mean_teacher": {"algo": "mean_teacher"},
}
PAIRS = [  # what is asked, before anything is measured
    *[(SEMI_VIT, other) for other in (*CONTROLS, "fixmatch", "ema_teacher x none")],
    *[(f"ema_teacher x {mixer}", "ema_teacher x none") for mixer in ("pseudo", "pseudo_plus")],
    (UNBIASED, SEMI_VIT),
    *[(arm, "finetune+") for arm in ("ema_teacher x none", "fixmatch", "flexmatch", "mean_teacher")],
]
Scores = dict[str, list[float]]  # arm -> a value per seed


@click.command()
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2), help="Seeds 0, 1, … of every arm.")
@click.option("--labels", default="10/class", show_default=True, help="Labelled images.")
@click.option("--backbone", default="vit_micro", show_default=True)
@click.option("--runs", default="runs", show_default=True, metavar="DIR", help="Where results are stored.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Any key, for all arms.")
def main(seeds: int, labels: str, backbone: str, runs: str, sets: Sequence[str]) -> None:
    """Train every arm on every seed and print the tables in markdown."""
    keys = {"data.labels": labels, "backbone": backbone, "threads": 1, "control.run": True}
    keys |= dict(parse_set(text) for text in sets)
    top1, seconds, kept, config = measure(range(seeds), keys, runs)
    print(f"**digits, {labels}, {backbone}, seeds 0 to {seeds - 1}**\n")
    print(arms_table(top1, seconds, kept) + "\n")
    print(pairs_table(top1) + "\n")
    print(claim(top1) + "\n")
    print(settings(config) + "\n")
    about = description()
    print(f"Hardware: {about['processor']}, {torch.get_num_threads()} thread, CPU. torch {about['torch']}.")


def measure(seeds: Sequence[int], keys: Mapping[str, Any], runs: str) -> tuple[Scores, Scores, Scores, dict[str, Any]]:
    """Top-1 in percent, seconds, and share of right ones among the kept pseudo-labels, by arm and seed.

    The seconds of a semi-supervised arm are those of its run: fine-tuning and the semi stage.
    """
    top1, seconds, kept = empty(), empty(), empty()
    config: dict[str, Any] = {}
    for seed in seeds:
        for arm, chosen in ARMS.items():
            results = sslkit.run({**keys, **chosen, "seed": seed}, runs=runs, console=Console(quiet=True)).results
            config = config or results["config"]
            stages = {row["stage"]: row for row in results["stages"]}
            found = {arm: stages["semi"]}
            if arm == SEMI_VIT:
                found = {name: stages[name] for name in CONTROLS} | found
            for name, row in found.items():
                before = 0.0 if name == "finetune" else stages["finetune"]["seconds"]
                top1[name].append(100 * row["networks"]["averaged"]["top1"])
                seconds[name].append(before + row["seconds"])
            kept[arm].append(100 * (stages["semi"]["pseudo_labels"] or {}).get("precision", math.nan))
            click.echo(f"seed {seed}, {arm}: {top1[arm][-1]:.1f}", err=True)
    return top1, seconds, kept, config


def empty() -> Scores:
    return {name: [] for name in (*CONTROLS, *ARMS)}


def arms_table(top1: Scores, seconds: Scores, kept: Scores) -> str:
    rows = ["| arm | top-1 %, mean | sd | n | each seed | labels right % | seconds a run |", "|---" * 7 + "|"]
    for name, values in top1.items():
        right = f"{statistics.mean(kept[name]):.1f}" if kept[name] else ""
        each = " ".join(f"{v:.1f}" for v in values)
        time = f"{statistics.mean(seconds[name]):.0f}"
        rows.append(
            f"| {name} | {statistics.mean(values):.1f} | {statistics.stdev(values):.1f} "
            f"| {len(values)} | {each} | {right} | {time} |"
        )
    return "\n".join(rows)


def interval(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the paired differences a - b, and the ends of its 95% t-interval."""
    differences = [x - y for x, y in zip(a, b, strict=True)]
    return statistics.mean(differences), *t_interval(differences)


def pairs_table(top1: Scores) -> str:
    rows = ["| paired difference, points | mean | 95% t-interval | n |", "|---" * 4 + "|"]
    for a, b in PAIRS:
        mean, low, high = interval(top1[a], top1[b])
        rows.append(f"| {a} - {b} | {mean:+.1f} | {low:+.1f} to {high:+.1f} | {len(top1[a])} |")
    return "\n".join(rows)


def claim(top1: Scores) -> str:
    """The one sentence that may be claimed: against the better control by mean, if the interval is above 0."""
    better = max(CONTROLS, key=lambda name: statistics.mean(top1[name]))
    mean, low, high = interval(top1[SEMI_VIT], top1[better])
    said = f"{mean:+.1f} points over {better}, the better control by mean (95% interval {low:+.1f} to {high:+.1f})"
    return f"Gain of Semi-ViT: {said}." if low > 0 else f"No gain of Semi-ViT is claimed: {said}."


def settings(config: Mapping[str, Any]) -> str:
    """What was set otherwise than the kernel has it, for the record; the arm's own keys are in the table."""
    empty = Part("")
    usual = flatten(Config(empty, empty, empty, empty, empty, empty))
    shown = {k: v for k, v in config.items() if k not in usual or usual[k] != v}
    text = ", ".join(f"{k}={'auto' if v is None else v}" for k, v in shown.items() if not k.endswith(".name"))
    return f"Settings of {SEMI_VIT}: {text}."


if __name__ == "__main__":
    main()
