"""FixMatch whose losses correct for uneven classes, little by little until predictions are for even ones.

Paper: Lazarow et al. 2023, Unifying Distribution Alignment as a Loss for Imbalanced SSL, WACV

Shares of classes among the unlabelled images are estimated by the labeler; they are taken to be those of the labels.
"""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from sslkit.algorithms.labelers._shares import label_shares, log, log_power
from sslkit.algorithms.labelers.prior import Prior
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class UDAL(PseudoLabeling):
    """FixMatch with the losses H(y, z + ln(pi / g)) and w H(target, z + ln(m / g)), g = pi^a normalised.

    pi are the shares of classes among the labels, m the labeler's running mean of predictions. With t the share of the
    steps, a = 1 - (1 - least) t^power: at first nothing is corrected where m is pi, at last predictions become those
    for nearly even classes. Pseudo-labels, and predictions at test time, are of z.

    Options:
        least: a at the end, in [0, 1]; at 0 classes are taken to be even then.
        power: above 0; the larger, the later the correction sets in.
    """

    slots = {"teacher": "self", "labeler": "prior", "mixer": "none"}
    whole = True
    prior: Tensor  # (C,) pi

    def __init__(self, setup: Setup, *, least: float = 0.1, power: float = 2.0, **family: Any) -> None:
        super().__init__(setup, **family)
        if not 0 <= least <= 1 or power <= 0:
            raise UserError(f"algo.least must be in [0, 1] and algo.power above 0, got {least} and {power}")
        if not isinstance(self.labeler, Prior):
            raise UserError("this algorithm needs the running mean of predictions of --labeler prior")
        self.least, self.power = least, power
        self.register_buffer("prior", label_shares(setup))

    def estimate(self) -> Tensor:
        """(C,) m."""
        assert isinstance(self.labeler, Prior)
        return self.labeler.mean

    def goal(self) -> Tensor:
        """(C,) shares of classes that the images are taken to have."""
        return self.prior

    def correction(self, shares: Tensor, step: Step) -> Tensor:
        """(C,) what is added to logits of images whose classes have these shares."""
        a = 1 - (1 - self.least) * (step.index / step.total) ** self.power
        return log(shares) - log_power(self.goal(), a)

    def supervised(self, out: Output, y: Tensor, step: Step) -> Tensor:
        return F.cross_entropy(out.logits + self.correction(self.prior, step), y)

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        logits = out_u.logits + self.correction(self.estimate(), step)  # (N, C)
        # in the place of the family's own term of that name
        return {"unlabeled": self.strength(step) * weighted_ce(logits, labels, n=len(logits))}
