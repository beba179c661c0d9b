"""How levels and bands of images are read: as is asked, else as for the weights, or for the stages that follow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sslkit.config import Data, Flat
from sslkit.config.values import coerce
from sslkit.data import Images, depth
from sslkit.data.image import Tone
from sslkit.data.parts import Parts
from sslkit.prepare.dataset import tone_asked
from sslkit.weights.origin import tone_of

Told = tuple[Tone, str]  # how levels are read for something, and what that is


@dataclass(frozen=True)
class Levels:
    """What a request says of levels, and what holds where it says nothing."""

    white: str | None  # data.white
    bands: str  # data.bands
    told: Told

    def taken(self, tone: Tone) -> Flat:
        """The keys that were not asked for, and are as something else had them."""
        level = self.told[0].white if not self.white and tone.white == self.told[0].white else None
        taken = {"data.white": str(int(level) if level == int(level) else level)} if level else {}
        return taken | ({"data.bands": ",".join(map(str, tone.bands))} if tone.bands and not self.bands else {})


def levels_of(flat: Flat, told: Told | None) -> Levels:
    """Of a request.

    Args:
        told: as something else has them; None: as the images were read that the weights were trained on.

    Raises:
        UserError: values that cannot be; the run that is named as weights is damaged.
    """
    weights = coerce("weights", flat.get("weights"), str | None)
    return Levels(*tone_asked(flat), told or (tone_of(weights), "the weights"))


def told_by(data: Data, images: Images) -> Told:
    """What the images of other stages take over: what was said of these ones. What was measured is each one's own."""
    white = images.tone.white if data.white not in (None, "measured") else None
    return Tone(white, images.tone.bands if data.bands else ()), "the other stages"


def toned(parts: Parts, levels: Levels, cache: Path | None) -> Parts:
    """With how levels are read.

    Raises:
        UserError: as of `depth.toned`.
    """
    tone, said = depth.toned(parts.train, levels.white, levels.bands, cache, *levels.told)
    taken = ", ".join(f"{key}={value}" for key, value in levels.taken(tone).items())
    parts = replace(parts, train=replace(parts.train, tone=tone), test=replace(parts.test, tone=tone))
    return parts.said(said, f"levels are read as for {levels.told[1]}: {taken}" if taken else "")
