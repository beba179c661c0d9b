"""The label after all predictions for the pool are refined together, to the shares of classes among the labels.

Paper: Kim et al. 2020, Distribution Aligning Refinery of Pseudo-label, NeurIPS, arXiv:2007.08844, section 3

It remembers the last prediction for each unlabelled image, and what became of it: two tables of images by classes. The
authors estimate the pool's shares on labelled images that are held out; here they are taken to be those of the labels.
"""

import torch
from torch import Tensor

from sslkit.algorithms.labelers._last import last_of_each
from sslkit.algorithms.labelers._shares import label_shares
from sslkit.algorithms.labelers.threshold import check
from sslkit.contracts import Batch, PseudoLabeler, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import one_hot
from sslkit.network import Output
from sslkit.randomness import Step
from sslkit.registry import register

EPS = 1e-6  # no probability is 0, so no entropy is
ROUNDS, STEPS = 10, 8  # of row and column sums in turn; of Newton's method, which has converged then


@register("labeler")
class DARP(PseudoLabeler):
    """w = [max q >= tau], target = one-hot of argmax q; q is p in the first steps, then the image's refined row.

    Options:
        tau: threshold in [0, 1].
        alpha: above 0; predictions of a class count that are among its alpha M likeliest, of M that it shall have.
        wait: share of the steps before labels are refined ones. Published: 200 of 500 epochs.
        every: steps from one refinement to the next.
        smoothing: label smoothing of the target.
    """

    goal: Tensor  # (C,) number of images that each class shall have
    last: Tensor  # (N_u, C) last predictions, even where there was none
    refined: Tensor  # (N_u, C)

    def __init__(
        self,
        setup: Setup,
        *,
        tau: float = 0.95,
        alpha: float = 2.0,
        wait: float = 0.4,
        every: int = 10,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.tau, self.smoothing = check(tau, smoothing)
        if alpha <= 0 or not 0 <= wait <= 1 or every < 1:
            wrong = f"got {alpha}, {wait} and {every}"
            raise UserError(f"labeler.alpha must be above 0, labeler.wait in [0, 1], labeler.every 1 or more, {wrong}")
        self.alpha, self.wait, self.every, self.classes = alpha, wait, every, setup.classes
        even = torch.full((setup.unlabeled, setup.classes), 1 / setup.classes)
        self.register_buffer("goal", label_shares(setup) * setup.unlabeled)
        self.register_buffer("last", even)
        self.register_buffer("refined", even.clone())

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        q = weak.p  # (N, C)
        if self._refines(step.index - 1, step):  # there is a table then
            q = self.refined[batch["unlabeled"].index]
        confidence, y = q.max(1)  # (N,), (N,) int64
        weight = (confidence >= self.tau).float()  # (N,)
        return PseudoLabels(one_hot(y, self.classes, self.smoothing), weight, confidence, {"p": weak.p})

    def _refines(self, index: int, step: Step) -> bool:
        return index >= 0 and index >= self.wait * step.total

    def update(self, labels: PseudoLabels, index: Tensor, step: Step) -> None:
        self.last[index] = labels.memory["p"].to(self.last)[last_of_each(index)]  # (N, C)
        first = not self._refines(step.index - 1, step)
        if self._refines(step.index, step) and (first or (step.index + 1) % self.every == 0):
            self.refined.copy_(refine(self.last, self.goal, self.alpha))


def refine(p: Tensor, goal: Tensor, alpha: float) -> Tensor:
    """(N, C) `balance` of probabilities p (N, C) of which each column keeps its alpha goal_k largest, nearly 0 else.

    What is kept is scaled to the sum goal_k before rows are brought to the sum 1.
    """
    order = p.argsort(dim=0, descending=True, stable=True)
    place = order.argsort(dim=0, stable=True)  # (N, C) in the column, from its largest value
    top = p * (place < (alpha * goal).floor())  # (N, C)
    p = top * (goal + EPS) / (top.sum(0) + EPS) + EPS
    return balance(p / p.sum(1, keepdim=True), goal)


def balance(p: Tensor, goal: Tensor) -> Tensor:
    """(N, C) rows q that sum to 1, with columns that sum to `goal` (C,), nearest to p (N, C), above 0.

    sum_i KL(q_i || p_i) / H(p_i) is least: q_ik goes as p_ik exp(-nu_k H(p_i)), in which rows are brought to the sum 1
    and nu_k is solved for in turn.
    """
    log_p = p.log()  # (N, C)
    entropy = -(p * log_p).sum(1, keepdim=True)  # (N, 1)
    nu = torch.zeros_like(goal)  # (C,)
    for _ in range(ROUNDS):
        rows = log_p - torch.logsumexp(log_p - nu * entropy, 1, keepdim=True)  # (N, C)
        for _ in range(STEPS):  # of the logarithm of the column's sum, which is convex in nu and nearly straight
            z = rows - nu * entropy  # (N, C)
            total = torch.logsumexp(z, 0)  # (C,)
            slope = ((z - total).exp() * entropy).sum(0)  # (C,)
            nu = nu + (total - goal.log()) / slope
    return (log_p - nu * entropy).softmax(1)
