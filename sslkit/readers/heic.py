"""HEIC and HEIF, as telephones write them, by pillow-heif: the extra `heic`."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from sslkit.reader import Levels, Reader, check_size
from sslkit.readers._deep import from_samples
from sslkit.registry import register

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
ANY = (b"mif1", b"msf1")  # any image in such a container: what it is compressed by stands in the list that follows


@register("reader")
class Heic(Reader):
    """The primary image of a HEIC file, upright; of more than 8 bits in full depth."""

    suffixes = (".heic", ".heif", ".hif")
    module, extra = "pillow_heif", "heic"

    def knows(self, head: bytes) -> bool:
        brand, others = head[8:12], head[16 : int.from_bytes(head[:4], "big")]
        return head[4:8] == b"ftyp" and (brand in BRANDS or (brand in ANY and any(one in others for one in BRANDS)))

    def read(self, file: BinaryIO) -> Image.Image | Levels:
        found = _opened(file)
        check_size(*found.size)
        depth: int = found.info.get("bit_depth", 8)
        if depth <= 8:
            image: Image.Image = found.to_pillow()
            image.getexif().pop(274, None)  # it has been turned
            return image
        samples = np.asarray(found) >> (16 - depth)  # libheif's levels, which were moved up to 16 bits
        return from_samples(samples, (1 << depth) - 1, found.has_alpha, "HEIF")

    def size(self, file: BinaryIO) -> tuple[int, int]:
        width, height = _opened(file).size
        return width, height


def _opened(file: BinaryIO) -> Any:
    import pillow_heif

    return pillow_heif.open_heif(file, convert_hdr_to_8bit=False)
