"""Time and memory of the search for near duplicates.

    python -m benchmarks.near_duplicates --images 10000 --images 100000 --images 1000000

Hashes and small pictures are drawn, four kinds: of unrelated images; of frames of cameras, a thousand each; of frames
of one camera; and of unrelated pictures whose hashes are nearly equal all the same, which is the worst that can come.
Memory is what the search takes beside its input.
"""

from __future__ import annotations

import multiprocessing
import resource
import time

import click
import numpy as np

from sslkit.data.image import Array
from sslkit.data.near import near_duplicates

FRAMES, FLIPPED, NOISE = 1000, 4, 8
KINDS = ("unrelated", f"cameras, {FRAMES:,} frames each", "one camera", "hashes nearly equal, pictures unrelated")


@click.command()
@click.option("--images", "counts", multiple=True, type=click.IntRange(FRAMES), default=[10_000], show_default=True)
def main(counts: tuple[int, ...]) -> None:
    """Print a table in markdown; every case is measured in a process of its own."""
    print("| images | kind | groups | in the largest | s | processor s | memory, MB | input, MB |\n|" + "---|" * 8)
    for count in counts:
        for kind in range(len(KINDS)):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.apply(measured, (count, kind)), flush=True)


def measured(count: int, kind: int) -> str:
    """A row of the table."""
    near_duplicates(*drawn(FRAMES, 0))  # imports
    hashes, thumbs = drawn(count, kind)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter(), time.process_time()
    groups = near_duplicates(hashes, thumbs)
    seconds = f"{time.perf_counter() - start[0]:.1f} | {time.process_time() - start[1]:.1f}"
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000
    largest = max(map(len, groups), default=0)
    given = (hashes.nbytes + thumbs.nbytes) / 1e6
    return f"| {count:,} | {KINDS[kind]} | {len(groups):,} | {largest:,} | {seconds} | {peak:,.0f} | {given:,.0f} |"


def drawn(count: int, kind: int) -> tuple[Array, Array]:
    """Hashes (N,) and small pictures (N, 16, 16)."""
    draw = np.random.default_rng(0)
    scenes = (count, count // FRAMES, 1, 1)[kind]
    scene = np.arange(count) % scenes
    hashes = draw.integers(0, 1 << 63, scenes, dtype=np.uint64)[scene]
    thumbs = draw.integers(0, 256, (count if kind == 3 else scenes, 16, 16), dtype=np.uint8)
    if kind:
        hashes ^= np.bitwise_or.reduce(np.uint64(1) << draw.integers(0, 63, (FLIPPED, count), dtype=np.uint64))
    if kind not in (1, 2):
        return hashes, thumbs
    frames = np.empty((count, 16, 16), np.uint8)
    for i in range(0, count, FRAMES):
        shown = thumbs[scene[i : i + FRAMES]]
        frames[i : i + FRAMES] = np.clip(shown + draw.integers(-NOISE, NOISE + 1, shown.shape), 0, 255)
    return hashes, frames


if __name__ == "__main__":
    main()
