"""Images as scikit-learn has them: arrays of numbers, flat or not, or paths; what of them the engine reads."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_array, validate_data

from sslkit.data.image import Array
from sslkit.store.anywhere import is_remote

FAR = 0.01  # share of values outside the range that is said
Range = tuple[float, float] | None  # what is black and what is white; None: uint8, as it is


def paths_in(X: Any) -> list[str] | None:
    """The paths (N,) or (N, 1), made absolute, or URLs; None where X is not of texts."""
    found = X if hasattr(X, "dtype") else np.asarray(X, dtype=object) if _texts(X) else None
    found = np.asarray(found) if hasattr(found, "__array__") else None
    if found is None or found.dtype.kind not in "UO" or not found.size:
        return None
    if found.shape[1:] not in ((), (1,)) or not all(isinstance(x, str | os.PathLike) for x in found.ravel()):
        return None
    return [str(path) if is_remote(path) else os.path.abspath(os.path.expanduser(path)) for path in found.ravel()]


def _texts(X: Any) -> bool:
    return isinstance(X, Sequence) and len(X) > 0 and isinstance(X[0], str | os.PathLike)


def numbers_in(estimator: Any, X: Any, image_shape: Sequence[int] | None, *, reset: bool) -> Array:
    """(N, H, W) or (N, H, W, 3) numbers of any type.

    Args:
        estimator: remembers how many features flat images have where `reset`, and else compares.
        image_shape: of one image, where X is flat.

    Raises:
        ValueError: they are not numbers, or are of no such shape.
    """
    if len(getattr(X, "shape", ())) < 3:
        flat = validate_data(estimator, X, reset=reset)
        if image_shape is None:
            raise ValueError(f"flat images of {flat.shape[1]} features need image_shape, as (28, 28) or (32, 32, 3)")
        try:
            found = flat.reshape(len(flat), *image_shape)
        except (ValueError, TypeError):
            told = f"X has {flat.shape[1]} features, which make no image of image_shape={image_shape!r}"
            raise ValueError(told) from None
    else:
        found = check_array(X, allow_nd=True, ensure_2d=False)
    if found.ndim == 4 and found.shape[3] == 1:
        return np.asarray(found[..., 0])
    if found.ndim == 3 or (found.ndim == 4 and found.shape[3] == 3):
        return np.asarray(found)
    first = "; X.transpose(0, 2, 3, 1) puts the channels last" if found.ndim == 4 and found.shape[1] in (1, 3) else ""
    raise ValueError(f"images are (N, H, W) or (N, H, W, 3), got {found.shape}{first}")


def range_of(images: Array, asked: Range) -> Range:
    """What is asked for, else None for uint8, (0, 1) for booleans, and for other numbers their least and greatest.

    Raises:
        ValueError: what is asked for is no range.
    """
    if asked is not None:
        low, high = asked
        if not low < high:
            raise ValueError(f"pixel_range must be two numbers, the lower first, got {asked!r}")
        return float(low), float(high)
    if images.dtype == np.uint8:
        return None
    if images.dtype == bool:
        return 0.0, 1.0
    low, high = float(images.min()), float(images.max())
    return low, high if high > low else low + 1


def eight_bits(images: Array, levels: Range) -> Array:
    """uint8 of the same shape; what lies outside the range becomes black or white, which is said where it is much.

    Raises:
        ValueError: fit has seen uint8, and these are not.
    """
    if levels is None:
        if images.dtype != np.uint8:
            raise ValueError(f"fit has seen images of uint8, and these are {images.dtype}; set pixel_range for both")
        return images
    low, high = levels
    outside = float(((images < low) | (images > high)).mean())
    if outside > FAR:
        told = f"{outside:.0%} of the values lie outside the range of pixels, {low:g} to {high:g}, and are cut off"
        warnings.warn(told, UserWarning, stacklevel=4)
    share = (images.astype(np.float64) - low) / (high - low)
    return np.round(np.clip(share, 0, 1) * 255).astype(np.uint8)
