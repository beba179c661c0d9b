"""Heads that are needed in training alone."""

import torch
from torch import Tensor, nn


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
