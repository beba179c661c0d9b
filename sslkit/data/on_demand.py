"""Images that are decoded when a batch needs them: those that do not fit into memory, and crops of whole images.

Threads do it, not processes, and nothing that was decoded is kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslkit.augment.boxes import crop_boxes
from sslkit.augment.frame import scaled
from sslkit.data.image import Array, middle
from sslkit.data.stored import Stored

BLOCK = 8  # images that a worker decodes at once


@dataclass(frozen=True)
class Crop:
    """Random resized crops of whole images, as `crop_boxes` draws them."""

    u: Tensor  # (N, BOX_DRAWS) uniform
    smallest: float  # share of the area
    interpolation: str


Block = list[Array]  # a (n, 3, S, S) uint8 array for each crop


@dataclass(frozen=True)
class Reading:
    """Images that workers decode."""

    blocks: Sequence[Future[Block]]

    def result(self) -> list[Tensor]:
        """A (N, 3, S, S) uint8 tensor for each crop that was asked for, as soon as it is there.

        Raises:
            UserError: an image cannot be decoded.
        """
        parts = zip(*(block.result() for block in self.blocks), strict=True)
        return [torch.from_numpy(np.concatenate(part)) for part in parts]


class OnDemand:
    """uint8 images (N, 3, S, S) that are decoded anew whenever they are asked for. Threads do it: Pillow lets go of
    the interpreter while it decodes and resizes.

    Args:
        stored: the images of the data set.
        index: (N,) int64, which of them these are.
        whole: random crops are cut out of whole images, not out of their middle square.
        workers: threads.
    """

    def __init__(self, stored: Stored, index: Array, whole: bool, workers: ThreadPoolExecutor) -> None:
        self.stored, self.index, self.whole, self.workers = stored, index, whole, workers

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.index), 3, self.stored.square.size, self.stored.square.size

    def subset(self, index: Array) -> OnDemand:
        """Those at the given places."""
        return OnDemand(self.stored, self.index[index], self.whole, self.workers)

    def __getitem__(self, place: Tensor | slice) -> Tensor:
        """(n, 3, S, S) on the host: the middle squares of the images at the given places."""
        return self.begin(place, [None]).result()[0]

    def begin(self, place: Tensor | slice, crops: Sequence[Crop | None]) -> Reading:
        """Let workers decode images, each once, and cut out a crop for each of `crops`; None is the middle square."""
        index = self.index[place.numpy() if isinstance(place, Tensor) else place]
        starts = range(0, len(index), BLOCK)
        return Reading([self.workers.submit(self._block, index, slice(i, i + BLOCK), crops) for i in starts])

    def _block(self, index: Array, rows: slice, crops: Sequence[Crop | None]) -> Block:
        images = [self.stored.rgb(i) for i in index[rows].tolist()]
        return [np.stack(self._cut(images, rows, crop)) for crop in crops]

    def _cut(self, images: Sequence[Image.Image], rows: slice, crop: Crop | None) -> list[Array]:
        if crop is None:
            return [middle(image, self.stored.square) for image in images]
        width, height = torch.tensor([image.size for image in images]).T
        boxes = crop_boxes(crop.u[rows], height, width, crop.smallest)
        low, right = (boxes.left, boxes.top), (boxes.left + boxes.width, boxes.top + boxes.height)
        corners = torch.stack([*low, *right], 1).tolist()
        cut = (image.crop(tuple(box)) for image, box in zip(images, corners, strict=True))  # nothing beyond is seen
        return [self._scaled(image, cubic=crop.interpolation == "bicubic") for image in cut]

    def _scaled(self, image: Image.Image, *, cubic: bool) -> Array:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
        made: Array = scaled(pixels, self.shape[2:], cubic=cubic)[0].contiguous().numpy()
        return made

    def describe(self) -> str:
        """How fast they are decoded: 128 from all over are timed."""
        place = torch.linspace(0, len(self) - 1, min(128, len(self))).long()
        start = time.perf_counter()
        self.begin(place, [None]).result()
        rate = len(place) / (time.perf_counter() - start)
        why = "for crops of whole images" if self.whole else f"they would take {np.prod(self.shape) / 1e9:.1f} GB"
        return f"images are decoded for every batch ({why}), {rate:,.0f} a second"


def in_turn(pixels: Pixels, parts: Sequence[slice]) -> Iterator[Tensor]:
    """The parts one after another; on demand, the next one is decoded meanwhile."""
    if isinstance(pixels, Tensor):
        yield from (pixels[part] for part in parts)
        return
    ahead = [pixels.begin(part, [None]) for part in parts[:1]]
    for i in range(len(parts)):
        ahead += [pixels.begin(part, [None]) for part in parts[i + 1 : i + 2]]
        yield ahead.pop(0).result()[0]


Pixels: TypeAlias = Tensor | OnDemand  # uint8 (N, 3, S, S), whose `[slice]` and `[(n,) int64]` are tensors
