"""JPEG, PNG, WebP, GIF, BMP, PNM, JPEG 2000, AVIF and what else Pillow knows; more than 8 bits in full depth."""

from __future__ import annotations

from typing import BinaryIO

from PIL import Image, features

from sslkit.reader import Levels, Reader
from sslkit.readers._deep import deep, jpeg2000
from sslkit.registry import register

JPEG2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"BM", *JPEG2000)


@register("reader")
class Pillow(Reader):
    """What Pillow reads; of images of more than 8 bits, which it would cut, the levels."""

    # in any case of letters; what else Pillow reads (.ico, .psd, .pdf, …) is seldom a photograph
    suffixes = (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".pbm", ".pnm", ".bmp"),
        *(".webp", ".gif", ".jp2"),
        *((".avif",) if features.check("avif") else ()),  # Pillow's wheels from 11.3 on: python-pillow/Pillow#8959
    )

    def knows(self, head: bytes) -> bool:
        container = head[8:12] == b"WEBP" or head[4:12] in (b"ftypavif", b"ftypavis")
        portable = head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()
        return head.startswith(BEGINNINGS) or container or portable

    def read(self, file: BinaryIO) -> Image.Image | Levels:
        head = file.read(12)
        file.seek(0)
        if head.startswith(JPEG2000):  # Pillow knows none of five bands
            levels = jpeg2000(file.read())
            file.seek(0)
            if levels:
                return levels
        image = Image.open(file)
        return deep(image, file) or image

    def size(self, file: BinaryIO) -> tuple[int, int]:
        return Image.open(file).size
