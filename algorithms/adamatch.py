"""FixMatch with aligned predictions and a threshold relative to the labelled images' confidence.

Paper: Berthelot et al. 2022, AdaMatch, arXiv:2106.04732

Labels are the labeler's; the weight of the unlabelled term rises by half a cosine in the first half of the steps
(section 3.4). Left out, as in other programs, are the random interpolation of two outputs for the labelled images
(section 3.1), which was made for domains that differ, and their strong view.
"""

import math

from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class AdaMatch(PseudoLabeling):
    slots = {"teacher": "self", "labeler": "adamatch", "mixer": "none"}

    def strength(self, step: Step) -> float:
        return super().strength(step) * (1 - math.cos(math.pi * step.ramp(0.5))) / 2
