"""Randomness as a pure function: every draw is a function of named values, so nothing is saved or shared.

A key is a 64-bit hash of names and numbers; a draw is the splitmix64 finalizer of key and position, in int64
tensor operations, so it has the same value on every device and at every batch size.
Source of the mixing function: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from sslkit.network import Classifier, Output

_GOLDEN = 0x9E3779B97F4A7C15


def key(*names: str | int) -> int:
    """A signed 64-bit key of a sequence of names and integers; ("a", 1) and ("a1",) have different keys."""
    text = "\x1f".join(f"{type(name).__name__}:{name}" for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _shift(x: Tensor, n: int) -> Tensor:
    return (x >> n) & ((1 << (64 - n)) - 1)  # logical: int64's own shift keeps the sign


def bits(seed: int | Tensor, position: Tensor) -> Tensor:
    """64 uniform bits for each position, int64, the shape of `position` (int64); wraps like uint64."""
    x = (position + 1) * _signed(_GOLDEN) + seed
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def uniform(seed: int | Tensor, position: Tensor) -> Tensor:
    """Uniform float32 in [0, 1) for each position: the top 24 bits, so the values are exact everywhere."""
    return _shift(bits(seed, position), 40).to(torch.float32) * (1.0 / (1 << 24))


@dataclass(frozen=True)
class Draw:
    """The uniforms of some samples at their visits; each name has draws of its own, on the device of `sample`."""

    seed: int
    sample: Tensor  # (N,) int64
    visit: Tensor  # (N,) int64

    def __call__(self, name: str, n: int) -> Tensor:
        """(N, n) uniform float32 in [0, 1)."""
        return uniform(self._own + key(name), torch.arange(n, device=self.sample.device))

    @cached_property
    def _own(self) -> Tensor:
        return bits(bits(self.seed, self.sample), self.visit)[:, None]

    def of(self, rows: Tensor | slice, device: torch.device | str = "cpu") -> Draw:
        """The same draws for some rows, on a device."""
        return Draw(self.seed, *(x[rows].to(device, non_blocking=True) for x in (self.sample, self.visit)))


def permutation(seed: int, n: int, device: torch.device | str = "cpu") -> Tensor:
    """(n,) int64, a uniformly random permutation of 0..n-1, without a host synchronisation."""
    return bits(seed, torch.arange(n, device=device)).argsort(stable=True)


@dataclass(frozen=True)
class Step:
    """Where training stands, and all randomness that a part may use there.

    `micro` is the number of the micro-batch within the global batch (rank x accumulation + k), so that a part
    draws the same values however the global batch is spread over devices.
    """

    index: int  # from 0
    total: int
    seed: int
    micro: int = 0

    def key(self, name: str) -> int:
        """The 64-bit key of this step's draws called `name`."""
        return key(self.seed, name, self.index, self.micro)

    def ramp(self, share: float) -> float:
        """Linear from 0 to 1 over the first `share` of all steps, then 1."""
        return 1.0 if share <= 0 else min(1.0, self.index / (share * self.total))

    def uniform(self, name: str, *shape: int, device: torch.device) -> Tensor:
        """Uniform float32 in [0, 1), of the given shape."""
        return uniform(self.key(name), torch.arange(math.prod(shape), device=device)).view(shape)

    def permutation(self, name: str, n: int, device: torch.device) -> Tensor:
        """(n,) int64, a random permutation."""
        return permutation(self.key(name), n, device)

    def beta(self, name: str, alpha: float, *shape: int, device: torch.device) -> Tensor:
        """Beta(alpha, alpha) float32 by the inverse of its distribution function; drawn on the host."""
        from scipy.special import betaincinv  # slow to import, and most steps draw no Beta

        u = self.uniform(name, *shape, device=torch.device("cpu")).double().numpy()
        return torch.as_tensor(betaincinv(alpha, alpha, u), dtype=torch.float32).to(device, non_blocking=True)

    def forward(self, name: str, network: Classifier, images: Tensor) -> Output:
        """`network(images)` with dropout and stochastic depth drawn from (seed, name, step, micro)."""
        _seed_device(self.key(name), images.device)
        return network(images)

    def at(self, micro: int) -> Step:
        """This step as micro-batch number `micro` sees it."""
        return replace(self, micro=micro)


def _seed_device(value: int, device: torch.device) -> None:
    """Seed the one generator that layers on `device` draw from; `torch.manual_seed` costs 5 ms for all of them.

    It cannot be told a device: pytorch/pytorch#89054.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(value)
    else:
        getattr(torch, device.type).manual_seed(value)


def seeded(module_name: str, seed: int) -> None:
    """Seed the global generator for the initial weights of the module called `module_name`."""
    torch.manual_seed(key(seed, "weights", module_name))
