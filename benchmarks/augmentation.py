"""Weak and strong views of Semi-ViT a second: sslkit and, where they are installed, what others have for it.

    python benchmarks/augmentation.py --seconds 5

Weak: random resized crop, flip, colour jitter. Strong: random resized crop, flip, rand-m9-mstd0.5-inc1 (torchvision
and kornia: their own RandAugment of 2 operations; albumentations has none: 2 of 15 such). Input: decoded images in
memory, output: normalised tensors. An image counts once for its two views. The peers run in as many loader workers as
sslkit runs threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms  # type: ignore[import-untyped]
from torchvision.transforms import v2  # type: ignore[import-untyped]

from sslkit.augment.policy import POLICIES
from sslkit.augment.render import view
from sslkit.data import IMAGENET_MEAN, IMAGENET_STD
from sslkit.randomness import Draw

BICUBIC = transforms.InterpolationMode.BICUBIC
Code = Callable[[], Iterator[int]]  # gives, again and again, how many images were done


def pictures(n: int, size: int) -> Tensor:
    """(n, 3, size, size) uint8: pieces of photographs."""
    choose, made = np.random.default_rng(0), []
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    for i in range(n):
        left, top = int(choose.integers(0, 400)), int(choose.integers(0, 187))
        made.append(np.asarray(photos[i % 2].resize((size, size), box=(left, top, left + 240, top + 240))))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()


def ours(images: Tensor, batch: int) -> Iterator[int]:
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    policies = [replace(POLICIES[name], flip=True) for name in ("semi_vit_weak", "semi_vit_strong")]
    for step in range(1 << 40):
        sample = (torch.arange(batch) + step * batch) % len(images)
        draws = Draw(step, sample, torch.zeros(batch, dtype=torch.int64))
        for policy in policies:
            view(images[sample], policy, draws, mean, std)
        yield batch


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self, images: list[object], weak: object, strong: object) -> None:
        self.images, self.weak, self.strong = images, weak, strong

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        image = self.images[i % len(self.images)]
        return self.weak(image), self.strong(image)  # type: ignore[operator]


def loaded(pairs: Pairs, batch: int, workers: int) -> Iterator[int]:
    for weak, _ in DataLoader(pairs, batch, num_workers=workers):
        yield len(weak)


def timm_on_pillow(images: Tensor, size: int = 0) -> Pairs:
    from timm.data import create_transform

    size = size or images.shape[2]
    normalise = transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)
    crop = transforms.RandomResizedCrop(size, interpolation=BICUBIC)
    jitter = transforms.ColorJitter(0.4, 0.4, 0.4)
    weak = transforms.Compose([crop, transforms.RandomHorizontalFlip(), jitter, transforms.ToTensor(), normalise])
    # mmax9: at magnitude 10 timm's posterize asks Pillow for 0 bits, which 13.0.0 refuses
    policy = "rand-m9-mstd0.5-mmax9-inc1"
    strong = create_transform(size, is_training=True, auto_augment=policy, interpolation="bicubic", color_jitter=None)
    return Pairs([Image.fromarray(x.permute(1, 2, 0).numpy()) for x in images], weak, strong)


def torchvision_v2(images: Tensor, size: int = 0) -> Pairs:
    size = size or images.shape[2]

    def pipeline(middle: v2.Transform) -> v2.Transform:
        first = [v2.RandomResizedCrop(size, interpolation=BICUBIC), v2.RandomHorizontalFlip(), middle]
        return v2.Compose([*first, v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)])

    return Pairs(list(images), pipeline(v2.ColorJitter(0.4, 0.4, 0.4)), pipeline(v2.RandAugment(2, 9)))


class Named:
    """albumentations takes and gives images by name."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    def __call__(self, image: Any) -> Tensor:
        made: Tensor = self.pipeline(image=image)["image"]
        return made


def albumentations_of(images: Tensor) -> Pairs:
    import albumentations as A  # type: ignore[import-not-found,unused-ignore]
    import cv2  # type: ignore[import-not-found,unused-ignore]
    from albumentations.pytorch import ToTensorV2  # type: ignore[import-not-found,unused-ignore]

    cv2.setNumThreads(0)
    side, p, cubic = images.shape[2], {"p": 1.0}, {"interpolation": cv2.INTER_CUBIC, "p": 1.0}
    grey, none = {"fill": (124, 116, 104)}, {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    enhance = [A.ColorJitter(**none | {name: (0.1, 1.9)}, **p) for name in ("brightness", "contrast", "saturation")]
    shear = [A.Affine(shear={axis: (-16.7, 16.7)}, **grey, **cubic) for axis in "xy"]
    moves = [A.Affine(translate_percent={axis: (-0.45, 0.45)}, **grey, **cubic) for axis in "xy"]
    others = [A.AutoContrast(**p), A.Equalize(**p), A.InvertImg(**p), A.Posterize((4, 7), **p), A.Solarize(**p)]
    others += [A.Sharpen(**p), A.Rotate(30, **grey, **cubic), A.RandomBrightnessContrast(0.4, 0, **p)]
    first = [A.RandomResizedCrop((side, side), **cubic), A.HorizontalFlip()]
    last = [A.Normalize(IMAGENET_MEAN, IMAGENET_STD), ToTensorV2()]
    weak = A.Compose([*first, A.ColorJitter(0.4, 0.4, 0.4, 0.0, **p), *last])
    strong = A.Compose([*first, A.SomeOf([*others, *enhance, *shear, *moves], n=2, p=1.0), *last])
    return Pairs([x.permute(1, 2, 0).contiguous().numpy() for x in images], Named(weak), Named(strong))


def kornia_batches(images: Tensor, batch: int) -> Iterator[int]:
    import kornia.augmentation as K  # type: ignore[import-not-found,unused-ignore]

    size = tuple(images.shape[2:])
    first = K.RandomResizedCrop(size, resample="bicubic"), K.RandomHorizontalFlip()
    last = K.Normalize(torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD))
    weak = torch.nn.Sequential(*first, K.ColorJitter(0.4, 0.4, 0.4), last)
    strong = torch.nn.Sequential(K.AugmentationSequential(*first, K.auto.RandAugment(2, 9)), last)
    for step in range(1 << 40):
        some = images[(torch.arange(batch) + step * batch) % len(images)].float() / 255
        weak(some), strong(some)
        yield batch


def rate(work: Iterator[int], seconds: float) -> float:
    """Images a second, after one batch of warming up."""
    next(work)
    done, start = 0, time.perf_counter()
    while (passed := time.perf_counter() - start) < seconds:
        done += next(work)
    return done / passed


PEERS = {"timm on Pillow": timm_on_pillow, "torchvision v2": torchvision_v2, "albumentations": albumentations_of}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="a measurement")
    parser.add_argument("--cores", type=int, default=2)
    chosen = parser.parse_args()
    print("| size | code | batch | cores | images/s | per core | against Pillow |\n|---|---|---|---|---|---|---|")
    for size, batches in ((32, (64, 448)), (224, (64,))):
        images = pictures(448 if size == 32 else 64, size)
        base = 0.0
        peers = {
            "timm on Pillow": timm_on_pillow,
            "torchvision v2": torchvision_v2,
            "albumentations": albumentations_of,
        }
        for name, make in peers.items():
            torch.set_num_threads(1)
            try:
                pairs = make(images)
            except ImportError:
                print(f"| {size} | {name} | | | not installed | | |")
                continue
            found = rate(loaded(pairs, 64, chosen.cores), chosen.seconds) / chosen.cores
            base = base or found
            row(size, name, 64, chosen.cores, found, base)
        for cores in (1, chosen.cores):
            torch.set_num_threads(cores)
            for batch in batches:
                row(size, "sslkit", batch, cores, rate(ours(images, batch), chosen.seconds) / cores, base)
        try:
            found = rate(kornia_batches(images, 64), chosen.seconds) / chosen.cores
            row(size, "kornia", 64, chosen.cores, found, base)
        except ImportError:
            print(f"| {size} | kornia | | | not installed | | |")


def row(size: int, name: str, batch: int, cores: int, per_core: float, base: float) -> None:
    numbers = f"{per_core * cores:.0f} | {per_core:.0f} | {per_core / base:.2f}"
    print(f"| {size} | {name} | {batch} | {cores} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
