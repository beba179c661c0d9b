"""What pseudo-labels are, whoever made them."""

from __future__ import annotations

import torch

from sslkit.conformance import expect
from sslkit.contracts import PseudoLabels


def expect_labels(labels: PseudoLabels, images: int, classes: int) -> None:
    """Shapes, types and ranges as the contract has them.

    Raises:
        Broken: something is otherwise.
    """
    shapes = {"target": (images, classes), "weight": (images,), "confidence": (images,)}
    for name, shape in shapes.items():
        value = getattr(labels, name)
        expect(tuple(value.shape) == shape, f"{name} has the shape {tuple(value.shape)}, not {shape}")
        expect(value.dtype == torch.float32, f"{name} is {value.dtype}, not float32")
        expect(not value.requires_grad, f"{name} is not detached")
        expect(bool(value.isfinite().all()), f"{name} is not finite")
    sums = labels.target.sum(1)
    expect(torch.allclose(sums, torch.ones_like(sums), atol=1e-4), f"a row of target sums to {_farthest(sums):.6g}")
    expect(bool((labels.target >= 0).all()), f"target has the value {labels.target.min():.6g}")
    expect(bool((labels.weight >= 0).all()), f"a weight is {labels.weight.min():.6g}")
    within = (labels.confidence >= 0) & (labels.confidence <= 1 + 1e-5)
    expect(bool(within.all()), f"confidences go from {labels.confidence.min():.6g} to {labels.confidence.max():.6g}")
    for name, value in labels.memory.items():
        expect(not value.requires_grad, f"memory {name!r} is not detached")


def _farthest(sums: torch.Tensor) -> float:
    return float(sums[(sums - 1).abs().argmax()])
