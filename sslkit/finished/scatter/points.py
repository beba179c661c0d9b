"""What a map shows of a run: its images, what is known of each, and what the run's network makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from sslkit.data.image import Array
from sslkit.data.on_demand import Pixels
from sslkit.finished.scatter.projection import Projection


@dataclass(frozen=True)
class Points:
    """N images, by part."""

    run: str
    classes: Sequence[str]  # (C,)
    parts: Sequence[str]  # the names of the parts
    names: Sequence[str]  # (N,) files, as the run names them
    pixels: Pixels  # (N, 3, S, S) uint8, what the network sees
    part: Array  # (N,) int64, a place in `parts`
    label: Array  # (N,) int64, -1 where the run knows none
    p: Array  # (N, C) float64 probabilities
    features: Array  # (N, D) float64
    projection: Projection
    said: str  # which images they are

    @cached_property
    def prediction(self) -> Array:
        """(N,) int64, the likeliest class."""
        found: Array = self.p.argmax(1)
        return found

    @cached_property
    def confidence(self) -> Array:
        """(N,) float64, its probability."""
        found: Array = self.p.max(1, initial=0)
        return found

    @cached_property
    def margin(self) -> Array:
        """(N,) float64, how much likelier it is than the next class."""
        second, first = np.partition(self.p, -2, axis=1)[:, -2:].T
        found: Array = first - second
        return found
