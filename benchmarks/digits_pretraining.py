"""What pre-training by masked patches adds on handwritten digits: arms on the same seeds, paired differences.

    python -m benchmarks.digits_pretraining --seeds 8 --patch 4

`vit_mini`, 10 labels a class. *pretrained*: 60 epochs of the masked autoencoder on all training images, then finetune
and semi. *scratch*: these two alone. *scratch, same compute*: the semi stage lasts longer, by as many floating-point
operations as pre-training takes. One core; an interrupted call goes on. `--tune --first 100` hides the real test.
"""

from __future__ import annotations

import statistics
from typing import Any

import click
from rich.console import Console

import sslkit
from benchmarks.digits_evidence import interval

SETTINGS: dict[str, Any] = {
    **{"backbone": "vit_mini", "threads": 1, "precision": "fp32", "control.run": False, "eval.decay": 0.97},
    **{"finetune.steps": 300, "semi.steps": 300, "finetune.lr": 1e-3, "semi.lr": 1e-3},
}
PRETRAIN = {"stages": "pretrain,finetune,semi", "pretrain.epochs": 60, "pretrain.batch": 64, "pretrain.lr": 1e-3}
DECODER = {"pretrainer.decoder_dim": 96, "pretrainer.decoder_depth": 2}


@click.command()
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(2))
@click.option("--first", default=0, show_default=True, help="The first seed.")
@click.option("--patch", default=4, show_default=True, type=click.Choice([2, 4]))
@click.option("--longer", default=817, show_default=True, help="Semi steps for the same compute; 0: no such arm.")
@click.option("--tune", is_flag=True, help="Hide the real test.")
@click.option("--runs", default="runs", show_default=True, metavar="DIR")
def main(seeds: int, first: int, patch: int, longer: int, tune: bool, runs: str) -> None:
    """Train every arm on every seed and print the tables in markdown."""
    own: dict[str, Any] = {"backbone.patch": patch}
    mask = {"pretrainer.mask": 0.75 if patch == 2 else 0.5}
    arms = {"pretrained": own | PRETRAIN | DECODER | mask, "scratch": own}
    arms |= {"scratch, same compute": own | {"semi.steps": longer}} if longer else {}
    top1: dict[str, list[float]] = {}
    seconds: dict[str, list[float]] = {}
    for seed in range(first, first + seeds):
        for arm, keys in arms.items():
            request = {**SETTINGS, **keys, "seed": seed, "data.tune": tune}
            rows = sslkit.run(request, runs=runs, console=Console(quiet=True)).results["stages"]
            for row in rows:
                if row["networks"]:
                    name = f"{arm}: {row['stage']}"
                    top1.setdefault(name, []).append(100 * row["networks"]["averaged"]["top1"])
            seconds.setdefault(f"{arm}: semi", []).append(sum(row["seconds"] for row in rows))
            click.echo(f"seed {seed}, {arm}: {top1[f'{arm}: semi'][-1]:.1f}", err=True)
    print("| arm: stage | top-1 %, mean | sd | each seed | seconds a run |\n|---|---|---|---|---|")
    for name, values in top1.items():
        each = " ".join(f"{v:.1f}" for v in values)
        time = f"{statistics.mean(seconds[name]):.0f}" if name in seconds else ""
        print(f"| {name} | {statistics.mean(values):.1f} | {statistics.stdev(values):.1f} | {each} | {time} |")
    print("\n| paired difference, points | mean | 95% t-interval |\n|---|---|---|")
    for a, b in (
        ("pretrained: finetune", "scratch: finetune"),
        ("pretrained: semi", "scratch: semi"),
        ("pretrained: semi", "scratch, same compute: semi"),
    ):
        if b not in top1:
            continue
        mean, low, high = interval(top1[a], top1[b])
        print(f"| {a} - {b} | {mean:+.1f} | {low:+.1f} to {high:+.1f} |")


if __name__ == "__main__":
    main()
