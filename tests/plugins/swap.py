"""A mixer that reverses the batch; a plug-in that works."""

from torch import Tensor

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step


@register("mixer", "swap")
class Swap(Mixer):
    """Every image takes the place of its mirror image in the batch."""

    def __init__(self, setup: Setup, *, on: bool = True) -> None:
        super().__init__()
        self.on = on

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        if not self.on:
            return Mixed(images, labels)
        flipped = (getattr(labels, name).flip(0) for name in ("target", "weight", "confidence"))
        return Mixed(images.flip(0), PseudoLabels(*flipped))
