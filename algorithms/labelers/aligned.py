"""Hard label of the prediction that is aligned with the labels' shares of classes, or with milder ones.

Paper: Wei et al. 2021, CReST, arXiv:2102.09559, section 3.3, CReST+

It remembers the mean prediction.
"""

from torch import Tensor

from sslkit.algorithms.labelers._running import Alignment, momentum_of
from sslkit.algorithms.labelers.threshold import Threshold
from sslkit.contracts import Batch, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class Aligned(Threshold):
    """w = [max q >= tau], target = one-hot of argmax q, q ∝ p goal / mean, goal ∝ (shares of the labels)^power.

    Options:
        tau: threshold in [0, 1].
        power: t; 1 is the labels' own shares, 0 even ones. CReST+ goes from 1 to 0.5 over its generations.
        momentum: of the running mean; None is `eval.decay`.
        smoothing: label smoothing of the target.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        tau: float = 0.95,
        power: float = 1.0,
        momentum: float | None = None,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__(setup, tau=tau, smoothing=smoothing)
        if power < 0:
            raise UserError(f"labeler.power must be 0 or more, got {power}")
        self.align = Alignment(setup, "prior", momentum_of(momentum, setup))
        goal = self.align.goal**power
        self.align.goal.copy_(goal / goal.sum())
        self.align.mean.copy_(self.align.goal)  # nothing is moved before the first step

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = self.align(weak.p).max(1)  # (N,), (N,) int64
        target = one_hot(y, weak.logits.shape[1], self.smoothing)  # (N, C)
        return PseudoLabels(target, (confidence >= self.tau).float(), confidence, {"p": weak.p})

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.align.update(labels.memory["p"], labels.memory["p"], step)
