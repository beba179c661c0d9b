"""Keys of decoded images: equal ones share theirs."""

from __future__ import annotations

import numpy as np

from sslkit.data.duplicates import pixel_keys


def test_pixel_keys_tell_what_a_few_levels_do_not() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)
    pixels[7] = pixels[3]
    pixels[9] = pixels[3]
    pixels[9, 1, 2, 3] ^= 1  # none of the sixteen levels
    keys = pixel_keys(pixels)
    expected = {(i, j) for i in range(40) for j in range(i) if np.array_equal(pixels[i], pixels[j])}
    assert expected == {(7, 3)}
    assert {(i, j) for i in range(40) for j in range(i) if keys[i] == keys[j]} == expected
    assert pixel_keys(pixels[:0]) == []
