"""FixMatch in which an uncertain image is learned, too, once the classes that it is confused with are left out.

Paper: Yang et al. 2023, ShrinkMatch, arXiv:2308.06777

The share rho, by which that term is weighed, is a running mean over the whole training; the authors' code begins it
anew at every epoch.
"""

from typing import Any

import torch
from torch import Tensor, nn

from sslkit.algorithms._heads import BatchNorm
from sslkit.algorithms.labelers.shrinkmatch import ShrinkMatch as Labeler
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register
from sslkit.step import PseudoLabeling


@register("algorithm")
class ShrinkMatch(PseudoLabeling):
    """L = FixMatch's + lambda_u rho / (mu B) sum_i (1 - w_i) max q_i H(top_i, softmax of z_i over S_i).

    q_i is the labeler's target, with its classes in falling order q_(0), q_(1), …, q_(C-1). S_i are class (0) and those
    from (m) on, with the least m in [2, C - 1] for which q_(0) / sum over S_i of q reaches tau; class (0) alone, and
    nothing to lose, where there is none. z_i is what a head of its own makes of the strong view's features, and rho the
    running share of kept images. The head is three linear layers, D to D/4 to D/4 to C, with BatchNorm and leaky ReLU.
    """

    slots = {"teacher": "self", "labeler": "shrinkmatch", "mixer": "none"}
    whole = True

    def __init__(self, setup: Setup, **family: Any) -> None:
        super().__init__(setup, **family)
        if not isinstance(self.labeler, Labeler):
            raise UserError("shrinkmatch's term for uncertain images needs the targets of --labeler shrinkmatch")
        dim = setup.student.feature_dim
        inner = max(1, dim // 4)
        layers = [[nn.Linear(n, inner), BatchNorm(inner), nn.LeakyReLU(0.1)] for n in (dim, inner)]
        self.head = nn.Sequential(*layers[0], *layers[1], nn.Linear(inner, setup.classes))

    def extra(
        self, out_x: Output, weak: Output, out_u: Output, labels: PseudoLabels, batch: Batch, step: Step
    ) -> dict[str, Tensor]:
        assert isinstance(self.labeler, Labeler)
        order, kept = shrunk(labels.target, self.labeler.tau)  # (N, C) int64, (N, C) bool
        with torch.autocast(out_u.features.device.type, enabled=False):
            z = self.head(out_u.features).gather(1, order)  # (N, C), the likeliest class first
        loss = -torch.where(kept, z, -torch.inf).log_softmax(1)[:, 0]  # (N,)
        weight = (1 - labels.weight) * labels.confidence  # (N,)
        return {"shrunk": self.strength(step) * self.labeler.rho * (weight * loss).mean()}


def shrunk(q: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Of probabilities (N, C) the classes in falling order (N, C) int64, and which of these are kept (N, C) bool."""
    q, order = q.sort(dim=1, descending=True, stable=True)  # (N, C) each
    rest = q.flip(1).cumsum(1).flip(1)  # (N, C), of this place and those after it
    place = torch.arange(q.shape[1], device=q.device)  # (C,)
    enough = q[:, :1] / (q[:, :1] + rest) >= tau  # (N, C) bool; true from one place on
    return order, (place == 0) | (enough & (place >= 2))
