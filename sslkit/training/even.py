"""Draws of labelled images in which every class comes equally often, as a pure function of seed and place.

Source: class-balanced sampling, Kang et al. 2020, Decoupling Representation and Classifier for Long-Tailed
Recognition, arXiv:1910.09217; here in rounds, so that counts differ by one at most.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslkit.randomness import key, permutation


class Even:
    """A round has one image of each class, in a new order; a class walks through its images in epochs of its own.

    Args:
        places: of each class that has images, (n_c,) int64.
    """

    def __init__(self, seed: int, places: Sequence[Tensor]) -> None:
        self.seed, self.places = seed, [place.tolist() for place in places]
        self._kept: dict[int | str, tuple[int, list[int]]] = {}  # class, or "round" -> its last number and order

    def __call__(self, start: int, size: int) -> tuple[Tensor, Tensor]:
        """(size,) int64 places of the draws from number `start` on, and how often each image came before."""
        found = [self._draw(number) for number in range(start, start + size)]
        place, visit = zip(*found, strict=True)
        return torch.tensor(place), torch.tensor(visit)

    def _draw(self, number: int) -> tuple[int, int]:
        round_, at = divmod(number, len(self.places))
        c = self._order("round", round_, len(self.places))[at]
        own = self.places[c]
        visit, at = divmod(round_, len(own))
        return own[self._order(c, visit, len(own))[at]], visit

    def _order(self, what: int | str, number: int, n: int) -> list[int]:
        if what not in self._kept or self._kept[what][0] != number:
            self._kept[what] = number, permutation(key(self.seed, what, number), n).tolist()
        return self._kept[what][1]
