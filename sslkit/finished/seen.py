"""What a network of a finished run makes of images: probabilities, features, and how unknown they look."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from sslkit.augment.render import normalise
from sslkit.contracts import Algorithm
from sslkit.data import Images
from sslkit.data.image import Array
from sslkit.data.on_demand import Pixels, in_turn
from sslkit.finished import Predictor
from sslkit.frozen import OnFeatures
from sslkit.training.evaluation import BATCH, autocast
from sslkit.training.features import Features
from sslkit.training.fitting import classified


@dataclass(frozen=True)
class Seen:
    """What the run's network makes of some images."""

    p: Array  # (N, C) float64 probabilities
    features: Array  # (N, D) float64, what its head sees
    score: Array  # (N,) float64, how much each looks like no class of the labels


def seen_by(predictor: Predictor, images: Images, features: Path, index: Array) -> Seen:
    """What `look` gives of the images with these numbers; of a method on frozen features, from those that are kept.

    Args:
        features: folder of the features that stages share.
    """
    method = predictor.algorithm
    if not isinstance(method, OnFeatures) or type(method).predict is not OnFeatures.predict:
        return look(predictor, images.subset(index))
    found = Features(predictor.network, predictor.spec, images, features)(index)
    p = classified(method, found).double().softmax(1).numpy()
    return Seen(p, found.double().numpy(), 1 - p.max(1, initial=0))


@torch.no_grad()
def look(predictor: Predictor, pixels: Pixels) -> Seen:
    """Probabilities, features and scores of images, without augmentation."""
    spec, network, algorithm = predictor.spec, predictor.network, predictor.algorithm
    plain = type(algorithm).predict is Algorithm.predict and not algorithm.decides  # then one forward gives both
    ruled = type(algorithm).open_set is not Algorithm.open_set
    mean, std = (torch.tensor(spec.data[name], device=spec.device) for name in ("mean", "std"))
    parts = [slice(start, start + BATCH) for start in range(0, len(pixels), BATCH)]
    p, features, score = [], [], []
    with autocast(spec):
        for read in in_turn(pixels, parts):
            x = normalise(read.to(spec.device), mean, std)
            output = network(x)
            logits = output.logits if plain else algorithm.predict(network, x)
            p.append(logits.double().softmax(1).cpu().numpy())
            features.append(output.features.double().cpu().numpy())
            own = algorithm.open_set(network, x)[0].double().cpu().numpy() if ruled else 1 - p[-1].max(1)
            score.append(own)
    empty = Seen(np.empty((0, len(spec.data["classes"]))), np.empty((0, network.feature_dim)), np.empty(0))
    return Seen(np.concatenate(p), np.concatenate(features), np.concatenate(score)) if p else empty
