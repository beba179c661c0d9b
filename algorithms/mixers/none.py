"""Images and pseudo-labels as they are."""

from torch import Tensor

from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step
from sslkit.registry import register


@register("mixer")
class Identity(Mixer):
    joinable = True

    def __init__(self, setup: Setup) -> None:
        super().__init__()

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        return Mixed(images, labels)  # M = N
