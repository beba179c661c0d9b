"""What is measured where an image may have several labels: each class is a question of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from sslkit.contracts import PseudoLabels

HALF = 0.5  # the probability from which a class is said to be there, where no validation part says another


def scores(logits: Tensor, label: Tensor, threshold: Tensor | float = HALF) -> dict[str, float]:
    """map, micro_f1, macro_f1 and nll, the first three in [0, 1].

    `map` is the mean of the classes' average precision, sum over ranks k of precision(k) times the gain in recall;
    images of one score share a rank. Classes without an image enter neither it nor macro_f1. F1 is at the thresholds;
    micro counts all (image, class) pairs alike. `nll` is the mean over these of the negative log-likelihood in nats.

    Args:
        logits: (N, C) float32.
        label: (N, C) int64, 0 and 1; images with -1 are left out.
        threshold: (C,) or one for all, probabilities.
    """
    known = (label >= 0).all(1)
    logits, label = logits[known].double(), label[known]
    there = label.any(0)
    guess = logits.sigmoid() >= threshold
    right, said, true = ((guess & (label == 1)).sum(0), guess.sum(0), label.sum(0))  # (C,) each
    f1 = 2 * right / (said + true).clamp_min(1)
    return {
        "map": average_precision(logits, label)[there].mean().item(),
        "micro_f1": (2 * right.sum() / (said + true).sum().clamp_min(1)).item(),
        "macro_f1": f1[there].mean().item(),
        "nll": binary_cross_entropy_with_logits(logits, label.double()).item(),
    }


def average_precision(logits: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """(C,) average precision of scores (N, C) against labels (N, C) of 0 and 1; NaN of a class without an image.

    Args:
        weight: (N,) how often each image counts; None is once.
    """
    weight = torch.ones(len(logits), dtype=torch.float64) if weight is None else weight
    return _of_ranks(*_ranks(logits, label), weight)


def _ranks(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, C) each, of each class from the highest score down: images, their labels, and whether it is the last one of
    the images with its score, which share a rank.
    """
    order = logits.argsort(dim=0, descending=True, stable=True)
    score, hit = logits.gather(0, order), label.gather(0, order).double()
    last = torch.ones_like(hit, dtype=torch.bool)
    last[:-1] = score[1:] != score[:-1]
    return order, hit, last


def _of_ranks(order: Tensor, hit: Tensor, last: Tensor, weight: Tensor) -> Tensor:
    counts = weight[order]  # (N, C)
    hits, seen = (hit * counts).cumsum(0), counts.cumsum(0)
    gained = torch.where(last, hits, 0).cummax(0).values
    before = torch.cat([torch.zeros_like(gained[:1]), gained[:-1]])
    return (torch.where(last, hits / seen.clamp_min(1e-12), 0) * (gained - before)).sum(0) / hits[-1]


def interval(logits: Tensor, label: Tensor, draws: int = 1000) -> list[float]:
    """95% of the bootstrap's values of `map`, for the choice of test images (Efron 1979), from a fixed seed."""
    known = (label >= 0).all(1)
    logits, label = logits[known].double(), label[known]
    draw, n, found = torch.Generator().manual_seed(0), len(logits), []
    ranks = _ranks(logits, label)  # which no draw changes
    for _ in range(draws):
        times = torch.bincount(torch.randint(n, (n,), generator=draw), minlength=n).double()
        found.append(_of_ranks(*ranks, times).nanmean())
    low, high = torch.stack(found).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return [low, high]


def thresholds(outputs: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """The probability of each class from which it is said to be there, and F1 on the test part with them.

    It is that with the best F1 on the validation part, halfway to the next lower probability; `HALF` for a class that
    no validation image has.

    Args:
        outputs: part -> logits (N, C) and labels (N, C), of "val", and "test" where there is one.
    """
    logits, label = outputs["val"]
    known = (label >= 0).all(1)
    p, label = logits[known].double().sigmoid(), label[known]
    order = p.argsort(dim=0, descending=True, stable=True)
    sure, hit = p.gather(0, order), label.gather(0, order).double()
    lower = torch.cat([sure[1:], torch.zeros_like(sure[:1])])
    said = torch.arange(1, len(p) + 1, dtype=torch.float64)[:, None]
    f1 = torch.where(sure != lower, 2 * hit.cumsum(0) / (said + hit.sum(0)), -1)  # no cut between equal ones
    best = f1.argmax(0, keepdim=True)
    chosen = (sure.gather(0, best) + lower.gather(0, best))[0] / 2
    chosen = torch.where(label.any(0), chosen, HALF)
    found: dict[str, Any] = {"thresholds": chosen.tolist(), "images": int(known.sum())}
    if "test" in outputs:
        at = scores(*outputs["test"], chosen)
        found |= {name: at[name] for name in ("micro_f1", "macro_f1")}
    return found


def pair_quality(labels: PseudoLabels, truth: Tensor) -> Tensor:
    """The numbers of `label_quality` over (image, class) pairs: all, kept ones, and of pairs with a label of 1 how many
    are so in truth, are kept, and are right. That a class is not there is right nearly always, and says little.

    Args:
        labels: of N images with targets (N, C), and weights (N, C) or (N,).
        truth: (N, C) int64, -1 where nobody knows.
    """
    weight = labels.weight if labels.weight.ndim == 2 else labels.weight[:, None].expand_as(truth)
    kept, known = weight > 0, truth >= 0
    judged = kept & known & (labels.target > HALF)
    none = torch.zeros((), device=truth.device)
    confidence = labels.confidence.sum() * truth.shape[1]
    counts = [torch.ones_like(kept).sum(), kept.sum(), (truth == 1).sum(), judged.sum(), (judged & (truth == 1)).sum()]
    return torch.stack([*(count.float() for count in counts), none, none, confidence.float()])
