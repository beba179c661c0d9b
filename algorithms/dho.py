"""One head learns the labels, a second what other networks predict for all images; both together classify.

Paper: Kang et al. 2025, Knowledge Distillation from Vision-Language Models via Dual-Head Optimization, arXiv:2505.07675

`--set predictions=FILE` has a vision-language model's probabilities, of one view without augmentation; the authors'
teacher sees the student's own crop. Several files or runs are averaged. The authors search alpha and beta on validation
images.
"""

import math

import torch
from torch import Tensor, nn

from sslkit.contracts import Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.guided import Voting, divergence, mean_of, pseudo_labels
from sslkit.losses import cross_entropy
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register


@register("algorithm")
class DHO(Voting):
    """L = a H(y, p(x)) + b T^2 [mean KL(q(x) || p'(x)) + mean KL(q(u) || p'(u))], q and p' at the temperature T.

    p is the network's own head, p' the second one. At test time: alpha p + (1 - alpha) softmax(z' / beta).

    Options:
        lambda_x: a; the paper has 0.5 for small networks, 1 for ImageNet.
        lambda_kd: b, likewise.
        temperature: T.
        alpha: share of the head of labels at test time.
        beta: temperature of the second head at test time.
    """

    views = {"labeled": ("weak",), "unlabeled": ("weak",)}

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        return {"distilled": nn.Linear(features, classes)}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_x: float = 0.5,
        lambda_kd: float = 0.5,
        temperature: float = 2.0,
        alpha: float = 0.5,
        beta: float = 0.5,
    ) -> None:
        if not (temperature > 0 and beta > 0 and 0 <= alpha <= 1):
            raise UserError("algo.temperature and algo.beta must be above 0, and algo.alpha from 0 to 1")
        self.temperature, self.alpha, self.beta = temperature, alpha, beta
        super().__init__(setup)
        self.lambda_x, self.lambda_kd = lambda_x, lambda_kd

    def agreed(self, p: Tensor) -> Tensor:
        """(N, C) the mean of probabilities (M, N, C) over those that are there, at T: p^(1/T) / sum of p^(1/T)."""
        warm = mean_of(p).pow(1 / self.temperature)  # (N, C)
        shares: Tensor = warm / warm.sum(1, keepdim=True).clamp_min(1e-30)
        return shares

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        out_x = step.forward("labeled", self.student, x["weak"])  # logits (B, C)
        out_u = step.forward("student", self.student, u["weak"])  # logits (N, C)
        labels = pseudo_labels(self.of_unlabeled[u.index])
        distilled = self.apart(pseudo_labels(self.of_labeled[x.index]), out_x.features)  # ()
        distilled = distilled + self.apart(labels, out_u.features)
        kd = self.lambda_kd * self.temperature**2 * distilled
        return Losses({"supervised": self.lambda_x * cross_entropy(out_x, x.y), "distilled": kd}, labels)

    def apart(self, labels: PseudoLabels, features: Tensor) -> Tensor:
        """() mean KL(q || p') over images of features (n, D), both at T."""
        return divergence(self.student.added["distilled"](features).float() / self.temperature, labels)

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        """(N, C) log of the mixed probabilities."""
        out = network(images)
        own = out.logits.log_softmax(1) + _log(self.alpha)
        second = (network.added["distilled"](out.features).float() / self.beta).log_softmax(1)
        return torch.logaddexp(own, second + _log(1 - self.alpha))


def _log(share: float) -> float:
    return math.log(share) if share else -math.inf
