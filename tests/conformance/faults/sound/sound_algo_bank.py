"""Similar labelled images of the last steps have a say in the pseudo-label of an unlabelled one.

It remembers features and labels of the last labelled images, of all processes.
"""

import torch
import torch.nn.functional as F

from sslkit import register
from sslkit.contracts import Algorithm, Losses, PseudoLabels
from sslkit.errors import UserError
from sslkit.losses import cross_entropy, frozen_stats, gather, one_hot, weighted_ce


@register("algorithm")
class Bank(Algorithm):
    def __init__(self, setup, *, size: int = 64, say: float = 0.3, tau: float = 0.4, temperature: float = 0.1):
        super().__init__(setup)
        if size < 1 or not 0 <= say <= 1 or not temperature > 0:
            raise UserError(f"algo.size, say or temperature is out of range: {size}, {say}, {temperature}")
        self.size, self.say, self.tau, self.temperature = size, say, tau, temperature
        self.classes = setup.classes
        self.register_buffer("features", torch.zeros(size, setup.student.feature_dim))
        self.register_buffer("shown", torch.zeros(size, setup.classes))  # zeros where nothing is stored
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def forward(self, batch, step):
        x, u = batch["labeled"], batch["unlabeled"]
        out_x = step.forward("labeled", self.student, x["weak"])
        with torch.no_grad(), frozen_stats(self.student):
            weak = step.forward("weak", self.student, u["weak"])
            with torch.autocast(u["weak"].device.type, enabled=False):  # rows that sum to 1 need float32
                target = self.target(weak)  # (N, C)
        confidence = target.amax(1)
        labels = PseudoLabels(target, (confidence >= self.tau).float(), confidence)
        strong = step.forward("strong", self.student, u["strong"])
        unlabeled = step.ramp(0.2) * weighted_ce(strong.logits, labels, n=len(u.index))
        memory = {"features": out_x.features.detach(), "label": x.label}
        return Losses({"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled}, labels, memory)

    def target(self, weak):
        similar = F.normalize(weak.features) @ self.features.T / self.temperature  # (N, size)
        similar = similar.masked_fill(self.shown.sum(1) == 0, -1e4)
        votes = similar.softmax(1) @ self.shown  # (N, C), rows sum to 1 once something is stored
        say = self.say * (self.shown.sum() > 0)
        return (1 - say) * weak.p + say * votes

    def after_step(self, losses, step):
        features = gather(torch.cat([loss.memory["features"] for loss in losses]))[-self.size :]
        label = gather(torch.cat([loss.memory["label"] for loss in losses]))[-self.size :]
        at = (self.place + torch.arange(len(label), device=label.device)) % self.size
        self.features.index_copy_(0, at, F.normalize(features))
        self.shown.index_copy_(0, at, one_hot(label, self.classes))
        self.place.add_(len(label)).remainder_(self.size)
