"""How often the intervals of a comparison hold the true difference, by simulation: a table in Markdown.

    python -m benchmarks.coverage

Differences of seeds: normal, or skewed (a centred exponential). Seeds and images together: arms whose chance of being
right depends on the image, the seed and the arm; the truth is the mean over 4,000 other seeds and images.
"""

from __future__ import annotations

import argparse

import numpy as np

from sslkit.harness.statistics import resampled, t_interval

SEEDS = (3, 5, 8, 20)
IMAGES, GAIN, SPREAD = 797, 0.4, 0.25  # test images; logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(0)
    print(
        f"| interval of 95% | differences | {' | '.join(f'n = {n}' for n in SEEDS)} |\n|---|---|{'---|' * len(SEEDS)}"
    )
    for name, sample in (("normal", draw.standard_normal), ("skewed", lambda n: draw.exponential(1.0, n) - 1.0)):
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


if __name__ == "__main__":
    main()
