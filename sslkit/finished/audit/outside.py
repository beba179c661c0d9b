"""How much of a pool looks like no class of the labels, judged by images of known classes that were held out."""

from __future__ import annotations

import numpy as np

from sslkit.data.image import Array

LEVEL = 0.05  # of the bound, and of the list


def shares_above(pool: Array, known: Array) -> Array:
    """(N,) for each image of the pool, what share of held-out known images looks as unknown as it does, or more.

    It is the conformal p value (Vovk et al. 2005): of known images that are like the held-out ones, at most a share q
    has one of q or less.

    Args:
        pool: (N,) scores, higher for what looks unknown.
        known: (M,) of held-out images of known classes.
    """
    below = np.searchsorted(np.sort(known), pool, side="left")
    found: Array = (1 + len(known) - below) / (1 + len(known))
    return found


def at_least(pool: Array, known: Array) -> float:
    """A lower bound for the share of the pool that is of no known class, which holds with 95% confidence.

    Above any score t lies a share g of the pool, and a share f of known images: g is at most (1 - share) f + share, so
    the share is at least (g - f) / (1 - f). For all t at once g is lessened and f raised by what Massart's inequality
    (1990) leaves to chance, half of 5% for each. It assumes that known images of the pool look as those held out do;
    where they look more known, because the run was trained on them, the bound is the lower for it. Arguments as above.
    """
    if not len(pool) or not len(known):
        return 0.0
    t = np.unique(np.concatenate([pool, known]))
    g, f = (1 - np.searchsorted(np.sort(x), t, side="right") / len(x) for x in (pool, known))
    g, f = g - _chance(len(pool)), np.minimum(f + _chance(len(known)), 1)
    return float(((g - f)[f < 1] / (1 - f[f < 1])).max(initial=0.0))


def _chance(n: int) -> float:
    """By how much a distribution function of n draws is off on one side at most, with 97.5% confidence."""
    return float(np.sqrt(np.log(2 / LEVEL) / (2 * n)))
