"""Every strong view is blended with another one, always by the same share."""

from torch import Tensor

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.randomness import Step


@register("mixer")
class Mine(Mixer):
    """Options:
    share: of an image in what becomes of it; the rest is its partner's.
    """

    def __init__(self, setup: Setup, *, share: float = 0.8) -> None:
        super().__init__()
        self.share = share

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        j = step.permutation("mixer.pair", len(images), images.device)  # (N,)
        mixed = self.share * images + (1 - self.share) * images[j]  # (N, 3, H, W)
        target = self.share * labels.target + (1 - self.share) * labels.target[j]  # (N, C)
        return Mixed(mixed, PseudoLabels(target, labels.weight, labels.confidence))
