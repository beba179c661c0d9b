"""Pooled features of a network, without augmentation: computed once, kept in the store by what an image holds.

A row is found again by the image's content, so that more labels or more images cost no more than what is new. What is
kept is appended, and counts as soon as both of its files have it: a pass that is killed loses a batch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslkit.augment.render import normalise
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.on_demand import OnDemand
from sslkit.data.stored import identity, reading
from sslkit.errors import UserError, one_line
from sslkit.network import Classifier
from sslkit.store import bases, claims
from sslkit.store.claims import Claim
from sslkit.store.files import cut_off
from sslkit.training.evaluation import autocast, in_halves
from sslkit.training.frozen_forward import folded, in_order
from sslkit.training.spec import Spec
from sslkit.weights.matching import HEAD, bare

BATCH, GPU_BATCH = 16, 64  # images of a forward; always as many: a row does not depend on the images beside it
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
            stored = pixels.stored
            square, source = f"{stored.square}{reading(stored.square.tone)}".encode(), stored.source
            contents = (square + identity(source(int(pixels.index[i]))) for i in index)
        else:
            contents = (pixels[i].tobytes() for i in index)
        made = (hashlib.blake2b(content, digest_size=DIGEST // 2).hexdigest() for content in contents)
        return np.fromiter(made, f"S{DIGEST}", len(index))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While entered, no other process computes features of this network."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"cannot make {self.folder}: {one_line(error)}") from None
        claim = Claim(self.folder.parent, self.folder.name)
        if not claim.take():
            self.waiting()
            claim.wait()
        try:
            if claim.stalled:
                cut_off(path for path in (self.path, self.index) if path.is_file())
            yield
        finally:
            claim.release()

    def _known(self) -> Array:
        """(M,) names of the rows that are whole."""
        if not (self.index.is_file() and self.path.is_file()):
            return np.zeros(0, f"S{DIGEST}")
        rows = self.path.stat().st_size // (4 * self.network.feature_dim)
        count = min(rows, self.index.stat().st_size // DIGEST)
        return np.fromfile(self.index, f"S{DIGEST}", count)

    def _compute(self, index: Array, names: Array, known: int) -> None:
        """Append the rows of these images."""
        if not len(index):
            return
        begun, row, threads = time.perf_counter(), 4 * self.network.feature_dim, torch.get_num_threads()
        try:
            with (
                self.path.open("ab") as rows,
                self.index.open("ab") as written,
                closing(self._rows(index)) as computed,
            ):
                rows.truncate(known * row)
                written.truncate(known * DIGEST)
                done = 0
                for found in computed:
                    claims.check()
                    rows.write(found.numpy().tobytes())
                    rows.flush()
                    written.write(names[done : done + len(found)].tobytes())
                    written.flush()
                    done += len(found)
                    self.report(done, len(index))
                os.fsync(rows.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.folder}: {one_line(error)}") from None
        finally:
            torch.set_num_threads(threads)
        self.done.new += len(index)
        self.done.seconds += time.perf_counter() - begun

    def _rows(self, index: Array) -> Generator[Tensor, None, None]:
        """(n, D) of a few images after another."""
        spec, network = self.spec, self.network.eval()
        on_cpu = spec.device == "cpu"
        if on_cpu:
            sample = torch.rand(2, 3, spec.data["size"], spec.data["size"], generator=torch.Generator().manual_seed(0))
            network = folded(network, sample)
        batch = BATCH if on_cpu else GPU_BATCH
        readings = (self._read(index[i : i + batch]) for i in range(0, len(index), batch))
        return in_order(lambda read: self._forward(network, read(), batch), readings, spec.threads if on_cpu else 1)

    def _read(self, index: Array) -> Callable[[], Tensor]:
        """What gives the (n, 3, S, S) uint8 images of these numbers; on demand, decoding begins now."""
        pixels = self.images.pixels
        if not isinstance(pixels, OnDemand):
            return lambda: torch.from_numpy(pixels[index])
        reading = pixels.subset(index).begin(slice(None), [None])
        return lambda: reading.result()[0]

    @torch.inference_mode()
    def _forward(self, network: Classifier, pixels: Tensor, batch: int) -> Tensor:
        """(n, D) of uint8 images (n, 3, S, S), n at most `batch`."""
        device = next(network.parameters()).device  # the current one is a thread's own
        mean, std = (torch.tensor(self.spec.data[name], device=device) for name in ("mean", "std"))
        full = pixels[torch.arange(batch) % len(pixels)] if len(pixels) < batch else pixels
        with autocast(self.spec):
            found = in_halves(lambda x: network(normalise(x.to(device), mean, std)).features.cpu(), full)
        if not bool(found.isfinite().all()):
            raise UserError("a feature is not finite: the weights are damaged, or --precision fp32 is needed")
        return found[: len(pixels)].float()


def network_key(network: Classifier, spec: Spec) -> str:
    """16 hexadecimal digits of all that a row depends on beside the image: weights but for the head, how it is made."""
    weights = bases.content({n: t for n, t in network.state_dict().items() if not HEAD.fullmatch(bare(n))})
    made = {k: v for k, v in spec.parts["backbone"].items() if k != "weights"}
    about = [weights, made, *(spec.data[k] for k in ("size", "mean", "std")), spec.device, spec.precision]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
