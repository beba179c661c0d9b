"""Every image is blended with another one by a share that is drawn for the batch, without a second copy of the batch."""

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels


@register("mixer")
class Thrifty(Mixer):
    def __init__(self, setup, *, least: float = 0.6):
        super().__init__()
        self.least = least

    def mix(self, images, labels, step):
        j = step.permutation("mixer.pair", len(images), images.device)
        lam = self.least + (1 - self.least) * step.uniform("mixer.share", 1, device=images.device)  # (1,)
        partner = images[j]
        images.mul_(lam).add_(partner * (1 - lam))
        target = lam * labels.target + (1 - lam) * labels.target[j]
        return Mixed(images, PseudoLabels(target, labels.weight, labels.confidence))
