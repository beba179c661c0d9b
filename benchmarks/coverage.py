"""How often the intervals of a comparison hold the true difference, by simulation: a table in Markdown.

    python -m benchmarks.coverage

Differences of seeds: normal, or skewed (a centred exponential). Seeds and images together: arms whose chance of being
right depends on the image, the seed and the arm; the truth is the mean over 4,000 other seeds and images. Worth in
labels: a known curve of fine-tuning and a row between two of its points; a seed shifts both, and each value has its own
noise, the more the fewer the labels.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from sslkit.harness.efficiency import needed, worth
from sslkit.harness.statistics import resampled, t_interval

SEEDS = (3, 5, 8, 20)
IMAGES, GAIN, SPREAD = 797, 0.4, 0.25  # test images; logits
LABELS, CURVE = np.array([20, 40, 100, 250, 500]), np.array([62.0, 74.0, 85.0, 91.0, 94.0])
NOISE, ROW = np.array([3.0, 2.0, 1.5, 1.0, 0.7]), 88.0  # points; the row is worth 158 labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    print(
        f"| interval of 95% | differences | {' | '.join(f'n = {n}' for n in SEEDS)} |\n|---|---|{'---|' * len(SEEDS)}"
    )
    kinds = (("normal", draw.standard_normal), ("skewed", lambda n: draw.exponential(1.0, n) - 1.0))
    for name, sample in kinds:
        held = [
            np.mean([low < 0 < high for low, high in (t_interval(sample(n)) for _ in range(repeats))]) for n in SEEDS
        ]
        print(f"| over seeds (t) | {name} | {' | '.join(f'{100 * h:.1f}%' for h in held)} |")
    truth = 100 * np.mean(chance(draw, 4000, 4000, GAIN) - chance(draw, 4000, 4000, 0.0))
    held = []
    for n in SEEDS:
        intervals = [resampled(*arms(draw, n), seed=k, resamples=500) for k in range(repeats // 4)]
        held.append(np.mean([low < truth < high for low, high in intervals]))
    print(f"| over seeds and images (resampled) | two arms | {' | '.join(f'{100 * h:.1f}%' for h in held)} |")
    truth = needed(LABELS, CURVE, ROW)
    for name, sample in kinds:
        held = []
        for n in SEEDS:
            intervals = [worth(LABELS, *curve_and_row(sample, n))[1:] for _ in range(repeats)]
            held.append(np.mean([low < truth < high for low, high in intervals]))
        print(f"| worth in labels | {name} | {' | '.join(f'{100 * h:.1f}%' for h in held)} |")


def chance(draw: np.random.Generator, seeds: int, images: int, gain: float) -> np.ndarray:
    """(seeds, images) chances of being right, of an arm on images of its own."""
    logit = 1.5 * draw.standard_normal(images) + 1.5 + gain + SPREAD * draw.standard_normal((seeds, 1))
    return 1 / (1 + np.exp(-logit))


def arms(draw: np.random.Generator, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether two arms are right, on the same images."""
    image = 1.5 * draw.standard_normal(IMAGES) + 1.5
    made = []
    for gain in (GAIN, 0.0):
        logit = image + gain + SPREAD * draw.standard_normal((seeds, 1))
        made.append(draw.random((seeds, IMAGES)) < 1 / (1 + np.exp(-logit)))
    return made[0], made[1]


def curve_and_row(sample: Callable[[Any], np.ndarray], seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of fine-tuning (seeds, K) and of a row (seeds,)."""
    shift = -sample((seeds, 1))  # skewed: a few seeds are much worse
    return CURVE + shift - NOISE * sample((seeds, len(LABELS))), ROW + shift[:, 0] - 1.5 * sample(seeds)


if __name__ == "__main__":
    main()
