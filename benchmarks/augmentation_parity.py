"""Every operation beside Pillow and timm, one image at a time: a table in Markdown.

python -m benchmarks.augmentation_parity --data parquet:DIR
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from sslkit.augment.ops import AFFINES, NAMES, Edge, apply
from sslkit.augment.warp import warp
from sslkit.prepare import prepare
from sslkit.randomness import uniform
from tests.augment.oracle import MOVING, RANGES, WHOLE, reference
from tests.augment.pictures import pillow, tensor

GREY = (124, 116, 104)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="a data set of sslkit")
    parser.add_argument("--images", type=int, default=500)
    chosen = parser.parse_args()
    prepared = prepare({"data.name": chosen.data, "data.labels": "all", "data.pool": "all"})
    images = torch.from_numpy(prepared.images.pixels[-chosen.images :])
    print(
        f"{len(images)} images of {chosen.data.partition(':')[0]}, {images.shape[2]} px, values over the whole range.\n"
    )
    print("| operation | interpolation | mean absolute error, grey levels | off by more than 2 |\n|---|---|---|---|")
    for name in sorted(set(NAMES) - {"identity"}):
        low, high = RANGES.get(name, (0, 0))
        value = low + (high - low) * uniform(1, torch.arange(len(images))).double()
        value = value.round() if name in WHOLE else value
        for kind in ("nearest", "bilinear", "bicubic") if name in MOVING else ("",):
            edge = Edge(kind or "bilinear", GREY)
            made = apply(images.float(), [name] * len(images), value, edge)
            pairs = zip(images, value.tolist(), strict=True)
            expected = torch.stack([tensor(reference(name, pillow(x), v, edge)) for x, v in pairs])
            report(name, kind, made, expected)
    report("*two affine ones, merged*", "bicubic", *merged(images))


def report(name: str, kind: str, made: Tensor, expected: Tensor) -> None:
    off = (made.int() - expected.int()).abs()
    print(f"| {name} | {kind} | {off.double().mean():.4f} | {(off > 2).double().mean():.4%} |", flush=True)


def merged(images: Tensor) -> tuple[Tensor, Tensor]:
    """Two random affine operations by one matrix, and one after the other."""
    n, (height, width), images = len(images), images.shape[2:], images.float()
    edge, fill = Edge("bicubic", GREY), torch.tensor(GREY).float()
    kinds, matrices, after = list(AFFINES), [], images
    for turn in range(2):
        names = [kinds[int(u * len(kinds))] for u in uniform(2 + turn, torch.arange(n)).tolist()]
        share = uniform(4 + turn, torch.arange(n)).double()
        value = torch.stack(
            [RANGES[k][0] + (RANGES[k][1] - RANGES[k][0]) * s for k, s in zip(names, share, strict=True)]
        )
        rows = torch.cat([AFFINES[k](v[None], height, width) for k, v in zip(names, value, strict=True)])
        last = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand(n, 1, 3)
        matrices.append(torch.cat([rows.view(n, 2, 3), last], 1))
        after = apply(after, names, value, edge)
    both = (matrices[0] @ matrices[1])[:, :2].reshape(n, 6)
    return warp(images, both, "bicubic", fill), after


if __name__ == "__main__":
    main()
