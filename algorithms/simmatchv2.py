"""A graph of images: labels spread from labelled neighbours, and views agree in their likenesses to other images.

Paper: Zheng et al. 2023, SimMatchV2: Semi-Supervised Learning with Graph Consistency, arXiv:2308.06692

Losses have the weights of ImageNet with 1 % of its labels; there are none for small images. One strong view stands for
the published crops of several sizes, and the LayerNorm of features is the projector's alone. Labels spread once every
labelled image was seen, where the reference has random embeddings in the bank before.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslkit.algorithms._heads import projector
from sslkit.algorithms._labeled_bank import DIM, LabeledBank, embed
from sslkit.algorithms.labelers._running import Alignment
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup, Teacher
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, gather, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class SimMatchV2(Algorithm):
    """L = H(y, p(x)) + lambda_nn mean w H(q, p(strong)) + lambda_ee mean H(r, s) + lambda_ne mean H(p, s P).

    p is the teacher's aligned prediction for the weak view, and w = [max p >= tau]. r and s are the likenesses
    softmax(f F / temperature) of its embedding, and of the student's of the strong view, to embeddings F of earlier
    unlabelled images; P are the p of these. q is the image's row of (1 - alpha) (I - alpha A)^-1 Y: Y holds p and the
    labels of the nearest labelled images, A the likenesses of all these to each other, softmax of f f' / temperature
    without the diagonal.

    Options:
        tau: confidence of p from which an image counts in the second term.
        lambda_nn, lambda_ee, lambda_ne: weights of the terms; published lambda_ee and lambda_ne 5 with 10 % of labels.
        alpha: how far labels spread; in [0, 1).
        neighbours: labelled images, the nearest, that they spread from.
        temperature: of likenesses; above 0.
        queue: how many unlabelled images are remembered; published 256 batches.
        momentum: of the alignment's running mean.
    """

    slots = {"teacher": "ema"}
    queue: Tensor  # (S, 128) embeddings of the last unlabelled images
    queue_p: Tensor  # (S, C) their p
    written: Tensor  # () int64, images that were ever put there

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"projector": nn.Sequential(nn.LayerNorm(features), projector(features, DIM))}

    def __init__(
        self,
        setup: Setup,
        *,
        teacher: Teacher,
        tau: float = 0.7,
        lambda_nn: float = 10.0,
        lambda_ee: float = 10.0,
        lambda_ne: float = 10.0,
        alpha: float = 0.1,
        neighbours: int = 128,
        temperature: float = 0.1,
        queue: int = 4096,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(setup)
        if not (0 <= tau <= 1 and 0 <= alpha < 1 and 0 <= momentum < 1):
            raise UserError(f"algo.tau, algo.alpha, algo.momentum must be in [0, 1): {tau}, {alpha}, {momentum}")
        if min(lambda_nn, lambda_ee, lambda_ne) < 0 or not temperature > 0:
            raise UserError(
                "algo.lambda_nn, algo.lambda_ee, algo.lambda_ne must be 0 or more, algo.temperature above 0"
            )
        if neighbours < 1 or queue < 1:
            raise UserError(f"algo.neighbours and algo.queue must be 1 or more, got {neighbours} and {queue}")
        self.teacher, self.tau, self.alpha, self.temperature = teacher, tau, alpha, temperature
        self.lambda_nn, self.lambda_ee, self.lambda_ne = lambda_nn, lambda_ee, lambda_ne
        self.neighbours = min(neighbours, setup.labeled)
        self.align, self.bank = Alignment(setup, "uniform", momentum), LabeledBank(setup)
        self.register_buffer("queue", torch.zeros(queue, DIM))
        self.register_buffer("queue_p", torch.zeros(queue, setup.classes))
        self.register_buffer("written", torch.tensor(0))

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        b, n = len(x.index), len(u.index)
        with torch.no_grad():
            weak = self.teacher.predict(self.student, torch.cat([x["weak"], u["weak"]]), step)  # logits (B + N, C)
            guide: Classifier = next(iter(self.teacher.networks().values()), self.student)
            embedding = embed(guide, weak.features)  # (B + N, 128)
            p = self.align(weak.p[b:])  # (N, C)
            confidence = p.amax(1)  # (N,)
            target = torch.where(self.bank.whole(), self.spread(embedding[b:], p), p)  # (N, C)
            labels = PseudoLabels(target, (confidence >= self.tau).float(), confidence)
            related = self.likeness(embedding[b:]).exp()  # (N, S)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        out_u = step.forward("student", self.student, u["strong"])  # logits (N, C)
        strong = self.likeness(embed(self.student, out_u.features))  # (N, S) logarithms
        begun = self.written > 0  # () bool
        edges = begun * -(related * strong).sum(1).mean()  # ()
        with torch.autocast(p.device.type, enabled=False):
            nodes = begun * -(p * (strong.exp() @ self.queue_p + 1e-7).log()).sum(1).mean()  # ()
        terms = {"supervised": cross_entropy(out_x, x.y)}
        terms["node_node"] = self.lambda_nn * weighted_ce(out_u.logits, labels, n=n)
        terms |= {"edge_edge": self.lambda_ee * edges, "node_edge": self.lambda_ne * nodes}
        assert x.label is not None
        of_x = {"index": x.index, "label": x.label, "labeled": embedding[:b]}
        return Losses(terms, labels, of_x | {"embedding": embedding[b:], "aligned": p, "p": weak.p[b:]})

    def likeness(self, embedding: Tensor) -> Tensor:
        """(N, S) log-softmax of the likenesses of embeddings (N, 128) to the queue."""
        there = torch.arange(len(self.queue), device=self.queue.device) < self.written  # (S,) bool
        with torch.autocast(embedding.device.type, enabled=False):  # exp of these: bfloat16 is too coarse
            return torch.where(there, embedding @ self.queue.T / self.temperature, -1e9).log_softmax(1)

    def spread(self, embedding: Tensor, p: Tensor) -> Tensor:
        """q (N, C) of embeddings (N, 128) and predictions (N, C); k nearest labelled images."""
        nearest = (embedding @ self.bank.embedding.T).topk(self.neighbours, 1).indices  # (N, k)
        nodes = torch.cat([embedding[:, None], self.bank.embedding[nearest]], 1)  # (N, 1 + k, 128)
        y = torch.cat([p[:, None], self.bank.target()[nearest]], 1)  # (N, 1 + k, C)
        eye = torch.eye(nodes.shape[1], device=p.device, dtype=p.dtype)  # (1 + k, 1 + k)
        with torch.autocast(p.device.type, enabled=False):
            a = torch.where(eye > 0, -1e9, nodes @ nodes.mT / self.temperature).softmax(2)  # (N, 1 + k, 1 + k)
            first = eye[:1].expand(len(p), -1)  # (N, 1 + k)
            share: Tensor = torch.linalg.solve_ex(
                (eye - self.alpha * a).mT, first[:, :, None]
            ).result  # (N, 1 + k, 1), unchecked
        return (1 - self.alpha) * (share * y).sum(1)

    def after_step(self, losses: Sequence[Losses], step: Step) -> None:
        self.teacher.update(self.student, step)
        rows = {name: gather(torch.cat([loss.memory[name] for loss in losses])) for name in losses[0].memory}
        self.align.update(rows["p"], rows["p"], step)
        self.bank.update(rows["index"], rows["labeled"], rows["label"], 0.0)
        size = len(self.queue)
        newest = rows["embedding"][-size:]  # (M, 128)
        place = (self.written + torch.arange(len(newest), device=newest.device)) % size  # (M,)
        self.queue[place], self.queue_p[place] = newest, rows["aligned"][-size:]
        self.written += len(newest)

    def networks(self) -> dict[str, Classifier]:
        return {"student": self.student, **self.teacher.networks()}
