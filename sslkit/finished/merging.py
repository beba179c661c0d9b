"""Merging what an adapter learned into the weights of a network, for programs that know no adapter.

It is done on a copy and only here: merged weights are rounded, and would drift if they were merged and unmerged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from sslkit import adapter
from sslkit.adapter import Inserted
from sslkit.errors import UserError
from sslkit.finished import Predictor

TOLERANCE = 1e-5  # largest difference of a logit, as a share of the largest logit
IMAGES = 8  # it is compared on, of normally distributed pixels


def merged(predictor: Predictor, whole: bool = False) -> Predictor:
    """The predictor with a network in which weights hold what an adapter learned; the one that is given stays.

    Args:
        whole: nothing that an adapter put in may be left.

    Raises:
        UserError: something is left, the logits of both differ by more than `TOLERANCE`, or with `whole` those of the
            network by itself.
    """
    if not any(isinstance(module, Inserted) for module in predictor.network.modules()):
        return _alone(predictor) if whole else predictor
    network = adapter.merged(predictor.network)
    left = any(isinstance(module, Inserted) for module in network.modules())
    if left and whole:
        name = predictor.spec.parts["adapt"]["name"]
        raise UserError(
            f"timm has no place for {name}, which no weights of its own can hold; use --format onnx or torch"
        )
    apart = _apart(predictor, lambda images: predictor.algorithm.predict(network, images))
    if not apart <= TOLERANCE:
        raise UserError(f"logits of the merged network would differ by {apart:.2g}, more than {TOLERANCE:g}")
    made = replace(predictor, network=network)
    return _alone(made) if whole else made


def _alone(predictor: Predictor) -> Predictor:
    """The predictor whose network alone, with its own head, gives the logits; it gets the weights of a linear one.

    Raises:
        UserError: they are made otherwise, by neighbours say.
    """
    network, decides = predictor.network, predictor.algorithm.decides
    if decides and isinstance(network.added[decides], nn.Linear):
        network = copy.deepcopy(network)
        network.classifier().load_state_dict(network.added[decides].state_dict())
    if not _apart(predictor, lambda images: network(images).logits) <= TOLERANCE:
        name = predictor.spec.parts["algo"]["name"]
        raise UserError(
            f"{name} does not classify by the network's head, and timm has no place for what it uses in its stead; "
            "use --format onnx or torch"
        )
    return replace(predictor, network=network)


@torch.no_grad()
def _apart(predictor: Predictor, logits: Callable[[Tensor], Tensor]) -> float:
    """The largest difference of a logit from the predictor's, as a share of its largest logit."""
    device, size = torch.device(predictor.spec.device), predictor.square.size
    images = torch.randn(IMAGES, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    mine, theirs = logits(images).float(), predictor.algorithm.predict(predictor.network, images).float()
    return float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1))
