"""Shares of classes among the labels, and their logarithms, which losses for uneven classes add to logits."""

from __future__ import annotations

import torch
from torch import Tensor

from sslkit.contracts import Setup

EPS = 1e-9


def label_shares(setup: Setup) -> Tensor:
    """(C,) float32 that sum to 1, shares of the labels; a class without a label counts as if it had one."""
    counts = setup.class_counts.float().clamp_min(1)
    return counts / counts.sum()


def log(shares: Tensor) -> Tensor:
    """(C,) logarithms of shares, finite where one is 0."""
    return shares.clamp_min(EPS).log()


def log_power(shares: Tensor, exponent: float) -> Tensor:
    """(C,) logarithms of shares to a power, brought to the sum 1: at exponent 1 as they are, at 0 even."""
    raised = exponent * log(shares)
    return raised - torch.logsumexp(raised, 0)
