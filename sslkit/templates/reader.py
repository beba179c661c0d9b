"""Squares of 12-bit grey levels, two bytes each, behind the letters RAW12."""

from typing import BinaryIO

import numpy as np
from PIL import Image

from sslkit import register
from sslkit.reader import Levels, Reader


@register("reader")
class Mine(Reader):
    suffixes = (".raw12",)

    def knows(self, head: bytes) -> bool:
        return head.startswith(b"RAW12")

    def read(self, file: BinaryIO) -> Image.Image | Levels:
        content = file.read()
        if not self.knows(content):
            raise ValueError("it does not begin with RAW12")
        levels = np.frombuffer(content[5:], "<u2")
        side = int(len(levels) ** 0.5)
        return Levels(levels.reshape(side, side, 1), white=4095)
