"""DICOM files of one frame, by pydicom: the extra `dicom`. Windowed as docs/data.md says."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sslkit.reader import Array, Reader, check_size
from sslkit.registry import register


@register("reader")
class Dicom(Reader):
    """8-bit grey, or RGB.

    Grey levels are rescaled by slope and intercept, then windowed: by the first WindowCenter and WindowWidth, as the
    file's VOI LUT function says (linear, unless it is told), or else from their lowest to their highest. MONOCHROME1 is
    inverted. A table of levels (Modality or VOI LUT sequence) is applied before, or in the place of, the window.

    Source: DICOM PS3.3, C.11.1 and C.11.2.
    """

    suffixes = (".dcm", ".dicom", ".ima")
    module, extra = "pydicom", "dicom"

    def knows(self, head: bytes) -> bool:
        return head[128:132] == b"DICM"

    def read(self, file: BinaryIO) -> Image.Image:
        import pydicom
        from pydicom.pixels.processing import apply_color_lut, apply_modality_lut

        data: Any = pydicom.dcmread(file, force=True)
        frames = int(data.get("NumberOfFrames") or 1)
        if frames > 1:
            raise ValueError(f"it holds {frames} frames; write each as a file")
        check_size(int(data.Columns), int(data.Rows))
        kind, pixels = data.PhotometricInterpretation, data.pixel_array
        if kind == "PALETTE COLOR":
            return Image.fromarray(_scaled(apply_color_lut(pixels, data), 65535))
        if data.SamplesPerPixel > 1:
            return Image.fromarray(_scaled(pixels, (1 << data.BitsStored) - 1))
        shown = pixels != data.PixelPaddingValue if "PixelPaddingValue" in data else np.ones_like(pixels, bool)
        share = _windowed(data, apply_modality_lut(pixels, data), shown)
        return Image.fromarray(_scaled(1 - share if kind == "MONOCHROME1" else share, 1))

    def size(self, file: BinaryIO) -> tuple[int, int]:
        import pydicom

        data: Any = pydicom.dcmread(file, force=True, stop_before_pixels=True)
        return int(data.Columns), int(data.Rows)


def _windowed(data: Any, levels: Array, shown: Array) -> Array:
    """Shares in [0, 1] of levels (H, W), which have been rescaled."""
    from pydicom.pixels.processing import apply_voi_lut

    if data.get("VOILUTSequence"):
        table = data.VOILUTSequence[0]
        return np.asarray(apply_voi_lut(levels, data)) / ((1 << int(table.LUTDescriptor[2])) - 1)
    x = levels.astype(np.float64)
    center, width = _first(data.get("WindowCenter")), _first(data.get("WindowWidth"))
    if center is None or width is None:
        low, high = (float(f(x[shown])) for f in (np.min, np.max)) if shown.any() else (0.0, 0.0)
        return np.clip((x - low) / max(high - low, 1e-9), 0, 1)
    function = str(data.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return np.asarray(1 / (1 + np.exp(-4 * (x - center) / width)))
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    return np.clip((x - center) / max(width, 1e-9) + 0.5, 0, 1)


def _first(value: Any) -> float | None:
    """The first of several values; None where there is none."""
    some = [value] if isinstance(value, int | float | str) else [*(value or ())]
    return float(some[0]) if some and some[0] != "" else None


def _scaled(levels: Array, white: float) -> Array:
    return np.round(levels * (255 / white)).astype(np.uint8)
