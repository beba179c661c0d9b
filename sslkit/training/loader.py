"""Batches: which images, which views, as pure functions of seed, step and micro-batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sslkit.augment.boxes import BOX_DRAWS
from sslkit.augment.plan import Plan, plan
from sslkit.augment.policy import Policy
from sslkit.augment.render import view
from sslkit.blend import BetaRatio, blend
from sslkit.contracts import Batch, Stream
from sslkit.data.on_demand import Crop, OnDemand, Pixels, Reading
from sslkit.losses import each_class, one_hot
from sslkit.randomness import Draw, Step, key, permutation
from sslkit.training.even import Even


@dataclass(frozen=True)
class Source:
    """The images of one stream."""

    pixels: Pixels  # (n, 3, S, S) uint8, on any device or on demand
    sample: Tensor  # (n,) int64 on the host, the image's number in the data set: what its draws are named after
    label: Tensor | None  # (n,) or (n, C) int64 on the training device; None where they are hidden
    batch: int  # images a step, over all devices
    evenly: Sequence[Tensor] = ()  # (n_c,) int64 each, places of a class, where every class is drawn equally often


@dataclass(frozen=True)
class Targets:
    """What becomes of the labels of a labelled batch, and with mixup or CutMix of its images.

    With weights the rows of targets sum to the weight of the label's class, so that cross-entropy, which is linear in
    them, is multiplied by it; mixed ones have the same share of both weights. Mixing is as timm's
    Mixup in batch mode: one ratio and one kind a micro-batch, the partner is the image at the mirrored place.
    """

    classes: int
    smoothing: float = 0.0
    mixup: float = 0.0  # Beta(a, a); 0 is none
    cutmix: float = 0.0
    weights: Tensor | None = None  # (C,) of the classes: what the loss of each labelled image is multiplied by

    def __call__(self, stream: Stream, step: Step) -> Stream:
        """The stream with `target`, and with mixed views."""
        mixes = self.mixup > 0 or self.cutmix > 0
        if stream.label is None or not (mixes or self.smoothing or self.weights is not None):
            return stream
        if stream.label.ndim == 2:  # each class is one of two
            target = each_class(stream.label, self.smoothing)
        else:
            target = one_hot(stream.label, self.classes, self.smoothing)
        views = dict(stream.views)
        if self.weights is not None:
            target *= self.weights[stream.label, None]
        if mixes:
            both = self.mixup > 0 and self.cutmix > 0
            ratio = BetaRatio(self.mixup or 1.0, self.cutmix or 1.0, 0.5 if both else float(self.cutmix > 0))
            lam, cut, u = ratio.draw(len(target), step, target.device, "labeled")
            partner = torch.arange(len(target), device=target.device).flip(0)
            for name, images in views.items():
                views[name], share = blend(images, partner, lam, cut, u, "published")
            target = torch.lerp(target[partner], target, share[:, None])
        return replace(stream, views=views, target=target)


class Loader:
    """Every stream is walked in epochs, each a new permutation, and wraps round within a step; or class by class.

    What is drawn, is drawn on the host, so that it is known without asking the device.

    Args:
        sources: stream name -> its images.
        views: stream name -> view name -> policy.
        parts: micro-batches of one step over all devices; divides every batch size.
        targets: what becomes of labels.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        views: Mapping[str, Mapping[str, Policy]],
        seed: int,
        parts: int,
        mean: Tensor,
        std: Tensor,
        targets: Targets = Targets(0),
    ) -> None:
        self.sources, self.views, self.seed, self.parts = sources, views, seed, parts
        self.mean, self.std, self.targets = mean, std, targets
        self._orders: dict[tuple[str, int], Tensor] = {}
        self._even = {n: Even(key(seed, "even", n), s.evenly) for n, s in sources.items() if s.evenly}
        self._ahead: dict[tuple[str, int, int], Reading] = {}

    def batch(self, step: int, micro: int) -> Batch:
        """Micro-batch number `micro` of `parts` of a step."""
        at = Step(step, 0, self.seed, micro)
        return {name: self.targets(self._stream(name, step, micro), at) for name in self.views}

    def _stream(self, name: str, step: int, micro: int) -> Stream:
        source = self.sources[name]
        place, visit = self._places(name, step, micro)
        index = place.to(self.mean.device, non_blocking=True)
        pixels, views = self._pixels(name, step, micro, place, index), {}
        for view_name, policy in self._policies(name).items():
            draw = self._draw(view_name, source.sample[place], visit)
            views[view_name] = view(pixels[view_name], policy, draw, self.mean, self.std)
        return Stream(views, index, None if source.label is None else source.label[index])

    def _pixels(self, name: str, step: int, micro: int, place: Tensor, index: Tensor) -> Mapping[str, Tensor]:
        """View name -> uint8 images, on the training device. Those of the next step are read meanwhile.

        Args:
            place, index: (size,) which images, on the host and on the training device.
        """
        pixels = self.sources[name].pixels
        if isinstance(pixels, Tensor):
            some = pixels[index if pixels.device == index.device else place]
            return dict.fromkeys(self.views[name], some.to(self.mean.device, non_blocking=True))
        reading = self._ahead.pop((name, step, micro), None) or self._begin(pixels, name, step, micro)
        self._ahead = {k: v for k, v in self._ahead.items() if k[0] != name or k[1] == step}  # others were skipped
        self._ahead[name, step + 1, micro] = self._begin(pixels, name, step + 1, micro)
        found = [images.to(self.mean.device, non_blocking=True) for images in reading.result()]
        return dict(zip(self.views[name], found if pixels.whole else found * len(self.views[name]), strict=True))

    def _begin(self, pixels: OnDemand, name: str, step: int, micro: int) -> Reading:
        place, visit = self._places(name, step, micro)
        if not pixels.whole:
            return pixels.begin(place, [None])
        sample, crops = self.sources[name].sample[place], []
        for view_name, policy in self.views[name].items():
            u = self._draw(view_name, sample, visit)("crop", BOX_DRAWS)
            crops.append(Crop(u, policy.crop, policy.interpolation) if policy.crop < 1 else None)
        return pixels.begin(place, crops)

    def _policies(self, name: str) -> Mapping[str, Policy]:
        """View name -> what is left to do: crops of whole images are cut out as they are read."""
        pixels = self.sources[name].pixels
        if isinstance(pixels, OnDemand) and pixels.whole:
            return {view_name: replace(policy, crop=1.0) for view_name, policy in self.views[name].items()}
        return self.views[name]

    def plans(self, name: str, step: int) -> dict[str, Plan]:
        """View name -> what is drawn for the first micro-batch of a stream at a step."""
        source = self.sources[name]
        place, visit = self._places(name, step, 0)
        height, width = source.pixels.shape[2:]
        return {
            view_name: plan(policy, self._draw(view_name, source.sample[place], visit), height, width)
            for view_name, policy in self._policies(name).items()
        }

    def _draw(self, view_name: str, sample: Tensor, visit: Tensor) -> Draw:
        return Draw(key(self.seed, "view", view_name), sample, visit)

    def _places(self, name: str, step: int, micro: int) -> tuple[Tensor, Tensor]:
        """On the host: (size,) index into the source, and (size,) number of the epoch each belongs to."""
        n, batch = len(self.sources[name].pixels), self.sources[name].batch
        size = batch // self.parts
        start = step * batch + micro * size
        if name in self._even:
            return self._even[name](start, size)
        index, visit = [], []
        while size:
            epoch, first = divmod(start, n)
            taken = self._order(name, epoch)[first : first + size]
            index.append(taken)
            visit.append(torch.full_like(taken, epoch))
            start, size = start + len(taken), size - len(taken)
        return torch.cat(index), torch.cat(visit)

    def _order(self, name: str, epoch: int) -> Tensor:
        if (name, epoch) not in self._orders:
            source = self.sources[name]
            seed = key(self.seed, "order", name, epoch)
            self._orders = {k: v for k, v in self._orders.items() if k[0] != name}
            self._orders[name, epoch] = permutation(seed, len(source.pixels))
        return self._orders[name, epoch]
