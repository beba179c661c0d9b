"""Hard label where the confidence is not below its running mean; else it is said whether earlier labels agree.

Paper: Cheng et al. 2025, CGMatch: A Different Perspective of Semi-supervised Learning, arXiv:2503.02231

It remembers the last labels of every image of the pool, the means of confidence and count gap, the mean prediction.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._last import last_of_each
from sslkit.algorithms.labelers._running import Alignment, momentum_of
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("labeler")
class CGMatch(PseudoLabeler):
    """w = [max q >= mean], target = one-hot of argmax q, q = p aligned with even classes.

    An image's count gap is how often its most frequent class stands among its last labels, less its second. Images of
    weight 0 whose gap is not below the running mean of gaps are ambiguous: `memory["ambiguous"]` is 1.

    Options:
        queue: how many labels of an image are remembered; published 1,000, filled with labels of the whole pool, which
            was predicted after each of the first 2,048 steps. Here an image has a new one at each visit.
        momentum: of the running means; None is `eval.decay`. Published: 0.999, for a million steps.
    """

    labels: Tensor  # (N_u, Q) int16, the last ones of every image; C where none
    visits: Tensor  # (N_u,) int64
    mean: Tensor  # () running mean of max q, from 1/C
    gap: Tensor  # () running mean of count gaps

    def __init__(self, setup: Setup, *, queue: int = 100, momentum: float | None = None) -> None:
        super().__init__()
        if queue < 1:
            raise UserError(f"labeler.queue must be 1 or more, got {queue}")
        self.classes, self.momentum = setup.classes, momentum_of(momentum, setup)
        self.align = Alignment(setup, "uniform", self.momentum)
        self.register_buffer("labels", torch.full((setup.unlabeled, queue), setup.classes, dtype=torch.int16))
        self.register_buffer("visits", torch.zeros(setup.unlabeled, dtype=torch.long))
        self.register_buffer("mean", torch.tensor(1 / setup.classes))
        self.register_buffer("gap", torch.tensor(0.0))

    def gaps(self, index: Tensor) -> Tensor:
        """(N,) float32 count gaps of images of the pool."""
        past = self.labels[index].long()  # (N, Q)
        counts = torch.zeros(len(index), self.classes + 1, device=index.device)  # (N, C + 1), the last: of none
        counts.scatter_add_(1, past, torch.ones(past.shape, device=index.device))
        first, second = counts[:, :-1].topk(2, 1).values.unbind(1)  # (N,) each
        return first - second

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = self.align(weak.p).max(1)  # (N,), (N,) int64
        weight = (confidence >= self.mean).float()  # (N,)
        gap = self.gaps(batch["unlabeled"].index)  # (N,)
        memory = {"p": weak.p, "gap": gap, "ambiguous": (gap >= self.gap) * (1 - weight)}
        return PseudoLabels(one_hot(y, self.classes), weight, confidence, memory)

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.align.update(labels.memory["p"], labels.memory["p"], step)
        self.mean.lerp_(labels.confidence.mean(), 1 - self.momentum)
        self.gap.lerp_(labels.memory["gap"].mean().to(self.gap), 1.0 if step.index == 0 else 1 - self.momentum)
        y = labels.target.argmax(1)[last_of_each(index)]  # (N,)
        self.labels[index, self.visits[index] % self.labels.shape[1]] = y.to(self.labels.dtype)
        self.visits[index] = self.visits[index] + 1
