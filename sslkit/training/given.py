"""What other networks predict for images: the rows of a file, or a forward pass of a finished stage's network."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sslkit.data import Images
from sslkit.data.given import Given
from sslkit.data.image import Array
from sslkit.data.on_demand import OnDemand
from sslkit.store import bases, read_json, weights_of
from sslkit.training.evaluation import logits
from sslkit.training.spec import Spec
from sslkit.training.stage import build_algorithm, restore


def given(images: Images, index: Array, spec: Spec) -> Tensor:
    """(M, n, C) float32 probabilities on the CPU, of the images with these numbers, without augmentation.

    Rows of NaN are of images that a file has none for. Every network sees them in its own resolution.

    Raises:
        UserError: a run's weights were dropped, or do not fit.
    """
    if not images.given:
        return torch.empty(0, len(index), len(images.classes))
    return torch.stack([_of(one, images, index, spec) for one in images.given])


def _of(one: Given, images: Images, index: Array, spec: Spec) -> Tensor:
    if one.stage is None:
        assert one.rows is not None, "a file"
        return torch.from_numpy(one.rows[index])
    theirs = Spec(**read_json(one.stage / "spec.json"))
    training = {name: value for name, value in theirs.training.items() if name not in ("compile", "fsdp")}
    here = theirs.device == spec.device
    theirs = replace(theirs, training=training, device=spec.device, precision=theirs.precision if here else "fp32")
    algorithm, average = build_algorithm(theirs, None)
    restore(algorithm, average, bases.load(weights_of(one.stage))[0])
    pixels = images.subset(index)
    if one.stored is not None:
        pixels = OnDemand(one.stored, np.asarray(index), False, ThreadPoolExecutor(os.cpu_count()))
    return logits(algorithm.eval(), average.network.eval(), pixels, theirs).softmax(1)
