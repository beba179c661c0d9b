"""How often the intervals of a comparison hold the true difference, by simulation: a table in Markdown.

    python -m benchmarks.coverage

Differences of seeds: normal, or skewed (a centred exponential). Seeds and images together: two arms whose chance of
being right depends on the image, alike in both (logits of standard deviation 1.5), and on what `WORLDS` says. Worth in
labels: a known curve of fine-tuning and a row between two of its points; a seed shifts both, and each value has its own
noise, the more the fewer the labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np

from sslkit.harness.numbers.efficiency import needed, worth
from sslkit.harness.numbers.statistics import crossed, t_interval

SEEDS = (3, 5, 8, 20)
IMAGES, GAIN = 797, 0.4  # test images; logits
MANY = 4_000_000  # seeds and images that the truth is the mean of
# what differs -> standard deviations in logits: of a seed's part, in either arm, and of the arm's own part on an image
WORLDS = {
    "seeds differ": ((0.25, 0.25), 0.0),
    "seeds differ, skewed": ((0.35, 0.0), 0.0),
    "images differ": ((0.0, 0.0), 1.5),
    "both differ": ((0.15, 0.15), 1.5),
    "neither differs": ((0.0, 0.0), 0.0),
}
LABELS, CURVE = np.array([20, 40, 100, 250, 500]), np.array([62.0, 74.0, 85.0, 91.0, 94.0])
NOISE, ROW = np.array([3.0, 2.0, 1.5, 1.0, 0.7]), 88.0  # points; the row is worth 158 labels
Size = int | tuple[int, int]
Sample = Callable[[Size], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=4000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    kinds: dict[str, Sample] = {"normal": draw.standard_normal, "skewed": lambda n: draw.exponential(1.0, n) - 1.0}
    print(
        f"| interval of 95% | differences | {' | '.join(f'n = {n}' for n in SEEDS)} |\n|---|---|{'---|' * len(SEEDS)}"
    )
    for name, sample in kinds.items():
        line("over seeds (t)", name, [students(sample, n, 10 * repeats) for n in SEEDS])
    for name in WORLDS:
        sample = kinds["skewed" if "skewed" in name else "normal"]
        line("over seeds and images", name, [together(draw, name, sample, n, repeats) for n in SEEDS])
    truth = needed(LABELS, CURVE, ROW)
    for name, sample in kinds.items():
        held = []
        for n in SEEDS:
            intervals = [worth(LABELS, *curve_and_row(sample, n))[1:] for _ in range(repeats // 2)]
            held.append(float(np.mean([low < truth < high for low, high in intervals])))
        line("worth in labels", name, held)


def line(interval: str, differences: str, held: list[float]) -> None:
    print(f"| {interval} | {differences} | {' | '.join(f'{100 * h:.1f}%' for h in held)} |", flush=True)


def students(sample: Sample, seeds: int, repeats: int) -> float:
    """The share of Student's intervals that hold 0, the mean of what is sampled."""
    low, high = t_interval(sample((seeds, repeats)))
    return float(np.mean((low < 0) & (high > 0)))


def together(draw: np.random.Generator, world: str, sample: Sample, seeds: int, repeats: int) -> float:
    """The share of intervals over seeds and images that hold the difference of the arms over all of both."""
    spreads, own = WORLDS[world]

    def chances(alike: np.ndarray, drawn: Size) -> list[np.ndarray]:
        """Of both arms, on images whose part that is alike in both is given."""
        logits = (
            1.5 + 1.5 * alike + gain + spread * sample(drawn) + own * draw.standard_normal(len(alike))
            for gain, spread in zip((GAIN, 0.0), spreads, strict=True)
        )
        return [1 / (1 + np.exp(-logit)) for logit in logits]

    a, b = chances(draw.standard_normal(MANY), MANY)
    truth, held = 100 * (a - b).mean(), 0
    for _ in range(repeats):
        right = [draw.random((seeds, IMAGES)) < c for c in chances(draw.standard_normal(IMAGES), (seeds, 1))]
        low, high = crossed(*right)
        held += bool(low < truth < high)
    return held / repeats


def curve_and_row(sample: Sample, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of fine-tuning (seeds, K) and of a row (seeds,)."""
    shift = -sample((seeds, 1))  # skewed: a few seeds are much worse
    return CURVE + shift - NOISE * sample((seeds, len(LABELS))), ROW + shift[:, 0] - 1.5 * sample(seeds)


if __name__ == "__main__":
    main()
