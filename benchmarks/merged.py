"""One table from comparisons of a few seeds each, as `sslkit compare --format csv` writes them.

    python -m benchmarks.merged docs/results/pretrained_or_ssl.csv --reference finetune+

For long studies that go seed by seed, whose stores are gone in the end. Intervals, tests and verdicts are those of
`sslkit table`; the interval over test images, too, is not, which takes the predictions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pandas as pd

from sslkit.harness.numbers.answers import interval
from sslkit.harness.numbers.statistics import Difference, differ, holm, verdict
from sslkit.harness.plan.arms import is_control


def against(frame: pd.DataFrame, reference: str) -> dict[tuple[str, str], Difference]:
    """(condition, row) -> what the differences from the reference say; p values are adjusted over all arms."""
    table = frame.pivot(index="seed", columns=["condition", "row"], values="top1")
    pairs = [(c, r) for c, r in table.columns if r != reference and (c, reference) in table.columns]
    asked = [pair for pair in pairs if not is_control(pair[1])]
    found = {}
    for condition, row in pairs:
        values = (table[condition, row] - table[condition, reference]).dropna().tolist()
        if len(values) >= 3:  # below, `sslkit table` gives no interval either
            found[condition, row] = differ(values, len(asked) if (condition, row) in asked else 0)
    tested = [pair for pair in asked if pair in found and found[pair].p is not None]
    for pair, p in zip(tested, holm([found[pair].p or 0.0 for pair in tested], len(asked)), strict=True):
        found[pair] = replace(found[pair], p_adjusted=p)
    return found


def lines(frame: pd.DataFrame, reference: str) -> list[str]:
    """A table for each condition, in markdown."""
    found, made = against(frame, reference), list[str]()
    for condition, group in frame.groupby("condition", sort=False):
        made += ["", f"{condition}, differences from {reference}:", ""]
        opened = "auroc" in group and not group["auroc"].isna().all()  # the data have images of no known class
        names = ["row", "top-1 %, mean ± SD", "seeds", "kept %, right %", *["C+1 %", "AUROC %"] * opened]
        names += ["difference", "95% CI", "adjusted p", ""]
        made += ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
        for row, some in group.groupby("row", sort=False):
            kept = "" if some["coverage"].isna().all() else f"{100 * some['coverage'].mean():.0f}, "
            kept += f"{100 * some['precision'].mean():.0f}" if kept else ""
            cells = [str(row), _spread(some["top1"]), str(len(some)), kept]
            cells += [_spread(some[name]) for name in ("open_top1", "auroc")] if opened else []
            d = found.get((str(condition), str(row)))
            if d is not None:
                p = "" if d.p_adjusted is None else f"{d.p_adjusted:.2g}"
                word = "not tested" if is_control(str(row)) else verdict(d)
                cells += [f"{d.mean:+.1f}", interval(d.low, d.high), p, word]
            made.append("| " + " | ".join(cells + [""] * (len(names) - len(cells))) + " |")
    return made[1:]


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.1f} ± {values.std():.1f}"


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--reference", default="finetune+", show_default=True, help="Row that the others are compared with.")
def main(files: tuple[Path, ...], reference: str) -> None:
    frame = pd.concat([pd.read_csv(file) for file in files], ignore_index=True)
    frame = frame[frame["error"].isna()]
    click.echo("\n".join(lines(frame, reference)))


if __name__ == "__main__":
    main()
