"""Every operation beside Pillow and timm, one image at a time: a table in Markdown.

python -m benchmarks.augmentation_parity --data parquet:DIR
"""

from __future__ import annotations

import argparse

import torch

from sslkit.augment.ops import NAMES, Edge, apply
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
            made = apply(images, [name] * len(images), value, edge)
            pairs = zip(images, value.tolist(), strict=True)
            expected = torch.stack([tensor(reference(name, pillow(x), v, edge)) for x, v in pairs])
            off = (made.int() - expected.int()).abs()
            print(f"| {name} | {kind} | {off.double().mean():.4f} | {(off > 2).double().mean():.4%} |", flush=True)


if __name__ == "__main__":
    main()
