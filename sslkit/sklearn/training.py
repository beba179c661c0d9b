"""A run on arrays or paths, by the same entry as `sslkit run`, and the network that it left, held in memory."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from sslkit import pipeline
from sslkit.data.image import Array, to_pixels
from sslkit.errors import Stopped, UserError
from sslkit.finished import Predictor, last_stage, usable
from sslkit.prepare import prepare, read_once
from sslkit.recipes import layers
from sslkit.store import PathLike, Store, bases, weights_of
from sslkit.training.evaluation import BATCH
from sslkit.training.spec import Spec
from sslkit.training.stage import build_algorithm, restore

NO_POOL = (
    "no image is without a label, so the labels alone are trained on, supervised; mark unlabelled images with {mark!r} "
    "in y, or have settings={{'data.pool': 'all'}} use the labelled ones as unlabelled, too"
)


@dataclass(frozen=True)
class Trained:
    """The averaged network of a run's last stage. What is pickled are its weights, and no path."""

    spec: Spec
    tensors: Mapping[str, Array]  # what the stage stored
    predictor: Predictor

    def __reduce__(self) -> tuple[Any, ...]:
        return trained, (asdict(self.spec), dict(self.tensors))

    def probabilities(self, images: Array | Sequence[str]) -> Array:
        """(N, C) float64 of uint8 images, or of the paths of images; rows sum to 1, but for several labels an image.

        Raises:
            UserError: an image cannot be read.
        """
        square, found = self.predictor.square, []
        with threads(self.spec.threads), ThreadPoolExecutor() as pool:
            for start in range(0, len(images), BATCH):
                some = images[start : start + BATCH]
                names = [each if isinstance(each, str) else f"image {start + i}" for i, each in enumerate(some)]
                pixels = [*pool.map(to_pixels, some, [square] * len(some), names)]
                found.append(self.predictor.probabilities(torch.from_numpy(np.stack(pixels))).double())
        p: Array = torch.cat(found).numpy()
        return p if self.predictor.network.multilabel else p / p.sum(1, keepdims=True)


def trained(spec: Mapping[str, Any], tensors: Mapping[str, Array]) -> Trained:
    """The network of a stage, from its specification and what it stored."""
    there = usable(Spec(**spec))
    with threads(there.threads):
        algorithm, average = build_algorithm(there, None)
        restore(algorithm, average, {name: torch.from_numpy(array) for name, array in tensors.items()})
    predictor = Predictor(algorithm.eval(), average.network.eval(), there, 1.0)
    return Trained(Spec(**spec), tensors, predictor)


@dataclass(frozen=True)
class Fitted:
    """What a run left."""

    network: Trained
    folder: Path  # of the run
    remarks: list[str]  # on the data, and what is amiss in the run


def fit(
    images: Array | Sequence[str],
    label: Array,
    classes: Sequence[str],
    settings: Mapping[str, Any],
    runs: PathLike,
    *,
    mark: Any,
    plugins: Sequence[PathLike],
    verbose: bool,
) -> Fitted:
    """Train on all the images; there is no test part, and nothing is measured.

    Args:
        images: uint8 (N, H, W) or (N, H, W, 3), or N absolute paths.
        label: (N,) int64, -1 where there is none.
        settings: the configuration by key.
        runs: root of the store; the images lie in it, too, so that the run can be gone on with.

    Raises:
        UserError: as `sslkit.run`.
    """
    store = Store(runs)
    file = _kept(store.data, np.asarray(images), label, np.asarray(classes))
    request = {"data.name": f"arrays:{file}", "data.labels": "all", "data.test": "none", **settings}
    with threads(torch.get_num_threads()), read_once():
        prepared = prepare(layers(None, None, request, plugins), store.data)
        stages = prepared.config.stages
        if "semi" in stages.split(",") and not len(prepared.split.pool):
            warnings.warn(NO_POOL.format(mark=mark), UserWarning, stacklevel=3)
            request["stages"] = stages.replace(" ", "").removesuffix("semi").removesuffix(",") or "finetune"
        said = None if verbose else Console(quiet=True)
        run = pipeline.run(request, plugins=plugins, runs=runs, console=said)
        stage, spec = last_stage(run.folder)
        tensors = {name: t.numpy() for name, t in bases.load(weights_of(stage))[0].items()}
        about = [*prepared.remarks, *run.results["remarks"]]
        for sentence in run.results["remarks"]:
            warnings.warn(sentence, UserWarning, stacklevel=3)
        return Fitted(trained(asdict(spec), tensors), run.folder, about)


def _kept(folder: Path, images: Array, label: Array, classes: Array) -> Path:
    """The file of a data set `arrays:FILE`, named by its content."""
    digest = hashlib.sha256()
    for array in (images, label, classes):
        digest.update(f"{array.dtype} {array.shape};".encode() + np.ascontiguousarray(array).tobytes())
    file = folder.absolute() / f"arrays-{digest.hexdigest()[:16]}.npz"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{os.getpid()}-{file.name}")
        np.savez(part, images=images, label=label, classes=classes)
        part.replace(file)
    return file


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Within, torch computes with `count` threads; after it, with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def in_words() -> Iterator[None]:
    """What sslkit says to people, as scikit-learn's users expect it."""
    try:
        yield
    except UserError as error:
        raise ValueError(str(error)) from None
    except Stopped as stopped:
        raise KeyboardInterrupt(str(stopped)) from None
