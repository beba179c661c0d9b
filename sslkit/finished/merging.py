"""Merging what an adapter learned into the weights of a network, for programs that know no adapter.

It is done on a copy and only here: merged weights are rounded, and would drift if they were merged and unmerged.
"""

from __future__ import annotations

from dataclasses import replace

import torch

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
        UserError: something is left, or the logits of both differ by more than `TOLERANCE`.
    """
    if not any(isinstance(module, Inserted) for module in predictor.network.modules()):
        return predictor
    network = adapter.merged(predictor.network)
    left = any(isinstance(module, Inserted) for module in network.modules())
    if left and whole:
        name = predictor.spec.parts["adapt"]["name"]
        raise UserError(
            f"timm has no place for {name}, which no weights of its own can hold; use --format onnx or torch"
        )
    device, size = torch.device(predictor.spec.device), predictor.square.size
    images = torch.randn(IMAGES, 3, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.no_grad():
        mine, theirs = (predictor.algorithm.predict(n, images).float() for n in (network, predictor.network))
    apart = float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1))
    if not apart <= TOLERANCE:
        raise UserError(f"logits of the merged network would differ by {apart:.2g}, more than {TOLERANCE:g}")
    return replace(predictor, network=network)
