"""How much the labelled images of each class count: weights of the supervised loss, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslkit.config import Data
from sslkit.config.class_weights import by_name
from sslkit.errors import listed, unknown


def class_weights(data: Data, counts: Sequence[int], classes: Sequence[str], *, fitted: bool = False) -> list[float]:
    """w_c, by which the supervised loss of each labelled image of class c is multiplied; none where all count alike.

    w_c = a_c / Σ_k p_k a_k, where p_k is the share of class k among the labelled images that are drawn: their mean
    weight is 1, so that learning rate and lambda_u mean what they did. By name a_c is the number given, 1 for classes
    that are not named. With "auto" it is 1 / n_c, which makes w_c = n / (K n_c), with n labelled images of K classes
    (King and Zeng 2001, Logistic Regression in Rare Events Data; scikit-learn's "balanced").

    Args:
        counts: (C,) labelled images of each class; a class without one has weight 0, which nothing is multiplied by.
        fitted: to frozen features, where each image is seen once: with `data.sampling` "classes" the weights are what
            drawing each class equally often would come to.

    Raises:
        UserError: no such class.
    """
    even, given = data.sampling == "classes", by_name(data.class_weights)
    for name in given:
        if name not in classes:
            raise unknown("class of data.class_weights:", name, classes)
    if data.class_weights == "none" and not (even and fitted):
        return []
    n = np.array(counts, float)
    shown = n > 0
    a = np.array([given.get(name, 1.0) for name in classes])[shown]
    n = n[shown]
    a = 1 / n if data.class_weights == "auto" else a
    drawn = np.ones_like(n) if even else n  # of each class, in proportion
    if fitted:
        a, drawn = a * drawn / n, n
    weights = np.zeros(len(classes))
    weights[shown] = a * drawn.sum() / (drawn * a).sum()
    return [float(w) for w in weights]


def said(data: Data, counts: Sequence[int], classes: Sequence[str]) -> list[str]:
    """Sentences on how labelled images are weighed and drawn, where not all count alike."""
    found = []
    if weights := class_weights(data, counts, classes):
        rising = sorted((w, name) for w, name, n in zip(weights, classes, counts, strict=True) if n)
        ends = rising if len(rising) <= 4 else [*rising[:2], *rising[-2:]]
        some = listed([f"{name!r} {w:.3g}" for w, name in ends])
        of = "" if len(rising) <= 4 else f", lowest and highest of {len(rising)}"
        found.append(f"class weights of the supervised loss ({data.class_weights}): {some}{of}")
    if data.sampling == "classes":
        few, many = min(n for n in counts if n), max(counts)
        found.append(
            f"labelled images are drawn so that every class comes equally often (data.sampling=classes): "
            f"classes have {few} to {many} of them; methods on frozen features weigh them instead"
        )
    return found
