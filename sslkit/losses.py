"""Small functions that algorithms share: losses, joint forwards, protected statistics.

Nothing here waits for the device but `only_kept`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit.contracts import Batch, Mixed, PseudoLabels
from sslkit.network import Classifier, Output
from sslkit.randomness import Step


def weighted_ce(logits: Tensor, labels: PseudoLabels, n: int) -> Tensor:
    """(1/n) sum_i weight_i * H(target_i, softmax(logits_i)), a scalar, of logits (M, C).

    With a weight (M, C) for each class, of images with several labels, H is the mean over classes of
    weight_ic * H(target_ic, sigmoid(logits_ic)).
    `n` is the size of the unlabelled batch, rejected images included (FixMatch, eq. 4): never the number kept.
    """
    if labels.weight.ndim == 2:
        return F.binary_cross_entropy_with_logits(logits, labels.target, labels.weight, reduction="sum") / (
            n * logits.shape[1]
        )
    return -(labels.weight * (labels.target * logits.log_softmax(1)).sum(1)).sum() / n


def one_hot(label: Tensor, classes: int, smoothing: float = 0.0) -> Tensor:
    """(N, C) float32 targets of labels (N,) int64: 1 - eps + eps/C at the label, eps/C elsewhere."""
    hard = torch.zeros(len(label), classes, device=label.device).scatter_(1, label[:, None], 1.0)  # (N, C)
    return hard * (1 - smoothing) + smoothing / classes if smoothing else hard


def each_class(label: Tensor, smoothing: float) -> Tensor:
    """(N, C) float32 targets of images with several labels (N, C): 1 - eps/2 where a class is there, else eps/2."""
    return label.float() * (1 - smoothing) + smoothing / 2


def as_target(y: Tensor, classes: int) -> Tensor:
    """(B, C) targets of `Stream.y`: as they are, or one-hot of labels (B,) int64."""
    return one_hot(y, classes) if y.ndim == 1 else y


def cross_entropies(target: Tensor, logits: Tensor) -> Tensor:
    """(N,) H(target_i, softmax(logits_i)) of targets and logits (N, C)."""
    return -(target * logits.log_softmax(1)).sum(1)


def all_kept(target: Tensor) -> PseudoLabels:
    """Labels (N, C) of a method that rejects no image, with the largest probability as confidence."""
    return PseudoLabels(target, torch.ones_like(target[:, 0]), target.amax(1))


def joint_forward(name: str, network: Classifier, step: Step, *groups: Tensor) -> list[Output]:
    """One forward of all groups together, so that BatchNorm sees their joint statistics; split again."""
    output = step.forward(name, network, torch.cat(groups))  # of all groups, one after another
    sizes = [len(group) for group in groups]
    return [
        Output(*pair, output.multilabel)
        for pair in zip(torch.split(output.logits, sizes), torch.split(output.features, sizes), strict=True)
    ]


@contextmanager
def frozen_stats(network: nn.Module) -> Iterator[None]:
    """Train-mode forwards of `network` use batch statistics but leave BatchNorm's running ones alone."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def only_kept(mixed: Mixed) -> Mixed:
    """The images of weight above 0, at least one: the others add nothing to the loss or its gradient.

    Needs the number of kept images on the host, so it is for the CPU, where it saves their forward.
    """
    weight = mixed.labels.weight
    kept = (weight if weight.ndim == 1 else weight.amax(1)).nonzero().flatten()  # (kept,) int64
    if len(kept) == 0:  # every parameter still gets a gradient, of zeros
        kept = torch.zeros(1, dtype=torch.long, device=mixed.images.device)
    labels = mixed.labels
    return Mixed(mixed.images[kept], PseudoLabels(labels.target[kept], labels.weight[kept], labels.confidence[kept]))


def images_a_step(batches: Sequence[Batch]) -> int:
    """Unlabelled images of one step, of all micro-batches and processes."""
    return len(batches) * len(gather(batches[0]["unlabeled"].index))


def gather(x: Tensor) -> Tensor:
    """Concatenate equally shaped tensors of all processes along dimension 0, in the order of ranks."""
    if not dist.is_initialized():
        return x
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts)


def cross_entropy(output: Output, label: Tensor) -> Tensor:
    """Mean cross-entropy of labels (B,) int64, or targets (B, C), a scalar; of several labels an image that of all
    (image, class) pairs, of targets (B, C) in [0, 1].
    """
    if output.multilabel:
        return F.binary_cross_entropy_with_logits(output.logits, label.to(output.logits.dtype))
    return F.cross_entropy(output.logits, label)
