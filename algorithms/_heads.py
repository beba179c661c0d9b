"""Heads beside the network's own, and what they are made of."""

import torch
from torch import Tensor, nn


def projector(features: int, dim: int) -> nn.Module:
    """Features (N, D) -> (N, dim), of two layers, as published for CoMatch, SimMatch, SimMatchV2 and IOMatch."""
    return nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, dim))


class BatchNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * weight + bias of features (N, D), by the batch's own statistics alone.

    It keeps no running ones: nobody evaluates the head that it is in. One image alone becomes the bias.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(dim)), nn.Parameter(torch.zeros(dim)), eps

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(0)  # (N, D)
        return x * (x.square().mean(0) + self.eps).rsqrt() * self.weight + self.bias
