"""Pooled features of a network, without augmentation: computed once, kept in the store by what an image holds.

A row is found again by the image's content, so that more labels or more images cost no more than what is new. What is
kept is appended, and counts as soon as both of its files have it: a pass that is killed loses a batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from sslkit.augment.render import normalise
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.on_demand import OnDemand, in_turn
from sslkit.data.stored import identity
from sslkit.errors import UserError, one_line
from sslkit.network import Classifier
from sslkit.training.evaluation import autocast, in_halves
from sslkit.training.spec import Spec
from sslkit.weights import HEAD, bare

BATCH = 64  # images of a forward; always as many, so that an image's row does not depend on those beside it
DIGEST = 24  # letters of a row's name
Report = Callable[[int, int], None]  # images that are done, of how many


@dataclass
class Pass:
    """What was computed, and how fast."""

    images: int = 0  # that were asked for
    new: int = 0  # of these, computed now
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.new:
            return f"features of {self.images:,} images were in the store"
        rest = f", {self.images - self.new:,} more were in the store" if self.images > self.new else ""
        return f"features of {self.new:,} images in {self.seconds:.1f} s, {self.new / self.seconds:,.0f} a second{rest}"


class Features:
    """Features (D,) float32 of the images of a data set, by number.

    Args:
        network: on the device of `spec`.
        folder: where features are kept; what is there of this network, size and precision is not computed again.
        report: told how far a pass is.
        waiting: called once when another process computes features of the same network; then it is waited for.
    """

    def __init__(
        self,
        network: Classifier,
        spec: Spec,
        images: Images,
        folder: Path,
        report: Report = lambda done, total: None,
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.network, self.spec, self.images, self.report = network, spec, images, report
        self.folder, self.waiting = folder / network_key(network, spec), waiting
        self.path, self.index = self.folder / "rows.f32", self.folder / "images.txt"
        self.done = Pass()

    def __call__(self, index: Array) -> Tensor:
        """(n, D) float32 on the CPU, of the images with these numbers (n,); computed where they are not kept.

        Raises:
            UserError: the store cannot be written, an image cannot be read, a feature is not finite.
        """
        dim = self.network.feature_dim
        if not len(index):
            return torch.zeros(0, dim)
        names = self._names(index)
        with self._alone():
            known = self._known()
            different, first = np.unique(names, return_index=True)
            new = np.sort(first[~np.isin(different, known)])
            self._compute(index[new], names[new], len(known))
            known = self._known()
        self.done.images += len(index)
        order = np.argsort(known)
        rows = order[np.searchsorted(known, names, sorter=order)]
        return torch.from_numpy(np.memmap(self.path, np.float32, "r").reshape(-1, dim)[rows])

    def _names(self, index: Array) -> Array:
        """(n,) of bytes, the name of each image's row: of its pixels, on demand of what it is stored as."""
        pixels = self.images.pixels
        if isinstance(pixels, OnDemand):
            square, source = str(pixels.stored.square).encode(), pixels.stored.source
            contents = (square + identity(source(int(pixels.index[i]))) for i in index)
        else:
            contents = (pixels[i].tobytes() for i in index)
        made = [hashlib.blake2b(content, digest_size=DIGEST // 2).hexdigest() for content in contents]
        return np.array(made, dtype=f"S{DIGEST}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While entered, no other process computes features of this network."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.folder}: {one_line(error)}") from None
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self.waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _known(self) -> Array:
        """(M,) names of the rows that are whole."""
        if not (self.index.is_file() and self.path.is_file()):
            return np.zeros(0, f"S{DIGEST}")
        rows = self.path.stat().st_size // (4 * self.network.feature_dim)
        count = min(rows, self.index.stat().st_size // DIGEST)
        return np.fromfile(self.index, f"S{DIGEST}", count)

    @torch.inference_mode()
    def _compute(self, index: Array, names: Array, known: int) -> None:
        """Append the rows of these images."""
        if not len(index):
            return
        begun, row = time.perf_counter(), 4 * self.network.feature_dim
        self.network.eval()
        parts = [slice(i, i + BATCH) for i in range(0, len(index), BATCH)]
        try:
            with self.path.open("ab") as rows, self.index.open("ab") as written:
                rows.truncate(known * row)
                written.truncate(known * DIGEST)
                for part, pixels in zip(parts, in_turn(self.images.subset(index), parts), strict=True):
                    found = self._forward(pixels)
                    rows.write(found.numpy().tobytes())
                    rows.flush()
                    written.write(names[part].tobytes())
                    written.flush()
                    self.report(min(part.stop, len(index)), len(index))
                os.fsync(rows.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {one_line(error)}") from None
        self.done.new += len(index)
        self.done.seconds += time.perf_counter() - begun

    def _forward(self, pixels: Tensor) -> Tensor:
        """(n, D) of uint8 images (n, 3, S, S), n at most `BATCH`."""
        spec = self.spec
        mean, std = (torch.tensor(spec.data[name], device=spec.device) for name in ("mean", "std"))
        full = pixels[torch.arange(BATCH) % len(pixels)] if len(pixels) < BATCH else pixels
        with autocast(spec):
            found = in_halves(lambda x: self.network(normalise(x.to(spec.device), mean, std)).features.cpu(), full)
        if not bool(found.isfinite().all()):
            raise UserError("a feature is not finite: the weights are damaged, or --precision fp32 is needed")
        return found[: len(pixels)].float()


def network_key(network: Classifier, spec: Spec) -> str:
    """16 hexadecimal digits of all that a row depends on beside the image: weights but for the head, how it is made."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        if not HEAD.fullmatch(bare(name)):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    made = {k: v for k, v in spec.parts["backbone"].items() if k != "weights"}
    about = [made, spec.data["size"], spec.data["mean"], spec.data["std"], spec.device, spec.precision, spec.threads]
    digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()[:16]
