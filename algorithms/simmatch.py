"""Classes and likeness to labelled images are matched: each view's likenesses follow the other's, and both its class.

Paper: Zheng et al. 2022, SimMatch: Semi-supervised Learning with Similarity Matching, arXiv:2203.06915

It is the small version, whose labels are the student's own; that for ImageNet takes them of an averaged network. As in
the paper neither part of the bank counts at first: until every labelled image was seen, which is one epoch of them.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslkit.algorithms._heads import projector
from sslkit.algorithms._labeled_bank import DIM, LabeledBank, embed
from sslkit.algorithms.labelers._running import Recent
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import cross_entropies, cross_entropy, gather, weighted_ce
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class SimMatch(Algorithm):
    """L = H(y, p(x)) + lambda_u mean [max q >= tau] H(q, p(strong)) + lambda_in mean H(r, b(strong)).

    Over labelled images k, with embeddings F_k of length 1 and classes y_k, a and b are softmax_k(f F_k / temperature)
    of the weak and of the strong view's embedding f. With p the weak prediction, aligned with the last batches:

        q_c = alpha p_c + (1 - alpha) sum of a_k with y_k = c,    r_k proportional to a_k p_{y_k}

    After the step F_k becomes normed (0.7 F_k + 0.3 f(x_k)), for the images in the batch.

    Options:
        tau: confidence of q from which an image counts in the second term; all count in the third.
        lambda_u: weight of the second term.
        lambda_in: weight of the third term.
        alpha: share of p in q.
        temperature: of likenesses; above 0.
        batches: how many means of batches the alignment remembers.
    """

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"projector": projector(features, DIM)}

    def __init__(
        self,
        setup: Setup,
        *,
        tau: float = 0.95,
        lambda_u: float = 1.0,
        lambda_in: float = 1.0,
        alpha: float = 0.9,
        temperature: float = 0.1,
        batches: int = 32,
    ) -> None:
        super().__init__(setup)
        if not (0 <= tau <= 1 and 0 <= alpha <= 1):
            raise UserError(f"algo.tau and algo.alpha must be in [0, 1], got {tau} and {alpha}")
        if lambda_u < 0 or lambda_in < 0:
            raise UserError(f"algo.lambda_u and algo.lambda_in must be 0 or more, got {lambda_u} and {lambda_in}")
        if not temperature > 0 or batches < 1:
            raise UserError(f"algo.temperature must be above 0 and algo.batches 1 or more: {temperature}, {batches}")
        self.tau, self.lambda_u, self.lambda_in = tau, lambda_u, lambda_in
        self.alpha, self.temperature = alpha, temperature
        self.align, self.bank = Recent(setup, batches), LabeledBank(setup)

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        with torch.no_grad():
            weak = step.forward("teacher", self.student, u["weak"])  # logits (N, C)
            likeness = self.likeness(weak.features).softmax(1)  # (N, K)
            labels, related = self.matched(weak.p, likeness)  # target (N, C), (N, K)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        out_u = step.forward("student", self.student, u["strong"])  # logits (N, C)
        unlabeled = self.lambda_u * weighted_ce(out_u.logits, labels, n=len(u.index))  # ()
        instance = cross_entropies(related, self.likeness(out_u.features)).mean()  # ()
        terms = {"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled}
        terms["instance"] = self.lambda_in * (self.bank.whole() * instance)
        assert x.label is not None
        embedding = embed(self.student, out_x.features).detach()  # (B, 128)
        return Losses(terms, labels, {"p": weak.p, "index": x.index, "embedding": embedding, "label": x.label})

    def likeness(self, features: Tensor) -> Tensor:
        """(N, K) logits of features (N, D) to the labelled images."""
        with torch.autocast(features.device.type, enabled=False):  # exp of these: bfloat16 is too coarse
            return embed(self.student, features) @ self.bank.embedding.T / self.temperature

    def matched(self, p: Tensor, likeness: Tensor) -> tuple[PseudoLabels, Tensor]:
        """Labels with targets q (N, C), and r (N, K), of weak predictions (N, C) and their likenesses a (N, K)."""
        owner, p = self.bank.target(), self.align(p)  # (K, C), (N, C)
        with torch.autocast(p.device.type, enabled=False):
            q = torch.where(self.bank.whole(), self.alpha * p + (1 - self.alpha) * likeness @ owner, p)  # (N, C)
            related = likeness * (p @ owner.T)  # (N, K)
        confidence = q.amax(1)  # (N,)
        labels = PseudoLabels(q, (confidence >= self.tau).float(), confidence)
        return labels, related / related.sum(1, keepdim=True).clamp_min(1e-30)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        rows = {name: gather(torch.cat([loss.memory[name] for loss in losses])) for name in losses[0].memory}
        self.align.update(rows["p"], step)
        self.bank.update(rows["index"], rows["embedding"], rows["label"], 0.7)
