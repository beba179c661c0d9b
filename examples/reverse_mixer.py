"""A mixer of your own: half of every strong view comes from the image at the mirrored place of the batch.

    sslkit run --plugin examples/reverse_mixer.py --algo fixmatch --mixer reverse

One class, one method: the options are the typed keyword parameters, so `--set mixer.share=0.3` works.
"""

import torch
from torch import Tensor

from sslkit import register
from sslkit.contracts import Mixed, Mixer, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.randomness import Step


@register("mixer", "reverse")
class Reverse(Mixer):
    """Blend each image, and its label, with the one at the mirrored place of the batch.

    Options:
        share: of the partner, in [0, 1].
    """

    def __init__(self, setup: Setup, *, share: float = 0.5) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise UserError(f"mixer.share must be in [0, 1], got {share}")
        self.share = share

    def mix(self, images: Tensor, labels: PseudoLabels, step: Step) -> Mixed:
        target = torch.lerp(labels.target, labels.target.flip(0), self.share)
        weight = torch.maximum(labels.weight, labels.weight.flip(0))
        confidence = torch.maximum(labels.confidence, labels.confidence.flip(0))
        return Mixed(torch.lerp(images, images.flip(0), self.share), PseudoLabels(target, weight, confidence))
