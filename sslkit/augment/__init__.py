"""Batched augmentation of uint8 images: pure functions of (images, values), each sample with values of its own.

`policy` names what may be drawn, `plan` draws it on the host, `render` carries it out on the device with `frame` (cut,
resize, pad, mirror, blur), `warp` (affine maps), `ops` (RandAugment's and jitter's operations) and `boxes` (erasing).
"""
