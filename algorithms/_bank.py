"""A memory of the last rows: keys, which are compared, and values, which are averaged."""

import torch
from torch import Tensor, nn


class Bank(nn.Module):
    """K rows, first in, first out; the rows of a step are written after it.

    Args:
        rows: K.
        dim: length of a key.
        classes: length of a value.
    """

    keys: Tensor  # (K, dim)
    values: Tensor  # (K, C)
    written: Tensor  # () int64 rows so far

    def __init__(self, rows: int, dim: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(rows, dim))
        self.register_buffer("values", torch.zeros(rows, classes))
        self.register_buffer("written", torch.tensor(0))

    def full(self) -> Tensor:
        """() bool."""
        return self.written >= len(self.keys)

    def read(self, keys: Tensor, temperature: float) -> Tensor:
        """(N, C) mean values, weighed by the softmax over rows of key . row / temperature, for keys (N, dim)."""
        return (keys @ self.keys.T / temperature).softmax(1) @ self.values

    def write(self, keys: Tensor, values: Tensor) -> None:
        """Put keys (M, dim) and values (M, C) in the place of the oldest; of more than K rows the last."""
        skipped = max(0, len(keys) - len(self.keys))
        place = torch.arange(skipped, len(keys), device=keys.device)  # (min(M, K),)
        place = (self.written + place) % len(self.keys)
        self.keys.index_copy_(0, place, keys[skipped:].to(self.keys))
        self.values.index_copy_(0, place, values[skipped:].to(self.values))
        self.written += len(keys)
