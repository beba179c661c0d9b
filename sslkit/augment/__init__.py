"""Batched augmentation of uint8 images: pure functions of (images, values), each sample with values of its own.

`view` makes one view of a batch by a `Policy`, with the uniforms of a `Draw`; nothing else of sslkit is needed for it.
`policy` names what may be drawn, `plan` draws it on the host, `render` carries it out on the device with `frame` (cut,
resize, pad, mirror, blur), `warp` (affine maps), `ops` (RandAugment's and jitter's operations) and `boxes` (erasing).
"""

from sslkit.augment.policy import POLICIES, Policy
from sslkit.augment.render import view
from sslkit.randomness import Draw

__all__ = ["POLICIES", "Draw", "Policy", "view"]
