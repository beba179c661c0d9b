"""FixMatch on all of the pool, outliers or not, and detectors of each class behind layers of their own.

Paper: Fan et al. 2023, SSB: Simple but Strong Baseline for Open-Set Semi-Supervised Learning, arXiv:2311.10572

The pool may have classes without a label. Classifier and detectors are networks of three layers on shared features. The
classifier's last layer is the network's own head, and what is before begins as the identity, because a stage starts
from a trained head; published code draws both at random. It has two strong views of labelled images, and another batch
of the pool for the detectors; its supervised term is of both weak views as soon as they are trained. Published with
WRN-28-2, mu 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.algorithms._one_vs_all import OneVsAll, by_own_detector, entropy
from sslkit.contracts import Algorithm, Batch, Losses, PseudoLabels, Setup
from sslkit.errors import UserError
from sslkit.losses import as_target, cross_entropies, joint_forward, one_hot, weighted_ce
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.registry import register

HIDDEN = 1024  # units of a layer between features and head


@register("algorithm")
class SSB(Algorithm):
    """L = H(y, p(x)) + lambda_u mean [max p >= tau] H(ŷ, p(strong)) + L_ova + L_neg + lambda_em L_em + lambda_socr L_s.

    o_c is the detectors' probability that an image is of class c; L_em and L_s are those of `openmatch`:

        L_ova = mean of -log o_y over both weak views + mean of n over weak views and a strong one, which count alike
        n = 1/C sum_{c not y} -log(1 - o_c), of labelled images, as -log o_y
        L_neg = mean over the pool of sum_c [o_c(weak) <= low] -log(1 - o_c(strong))

    Options:
        lambda_u, lambda_em, lambda_socr: weights; published lambda_socr is 1 for CIFAR-100.
        tau: probability from which an image is kept.
        low: probability up to which an image is taken for none of a class.
        wait: share of the steps before detectors are trained. Published: 475 of 512 epochs of 1024 steps, which leaves
            them 37,888; short runs would leave too few.
    """

    views = {"labeled": ("weak", "weak2", "strong"), "unlabeled": ("weak", "weak2", "strong")}

    @classmethod
    def heads(cls, features: int, classes: int) -> dict[str, nn.Module]:
        detectors = nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
        return {"own": as_it_is(features), "ova": detectors.append(OneVsAll(HIDDEN, classes))}

    def __init__(
        self,
        setup: Setup,
        *,
        lambda_u: float = 1.0,
        lambda_em: float = 0.1,
        lambda_socr: float = 0.5,
        tau: float = 0.95,
        low: float = 0.01,
        wait: float = 0.5,
    ) -> None:
        super().__init__(setup)
        for name, value in (("lambda_u", lambda_u), ("lambda_em", lambda_em), ("lambda_socr", lambda_socr)):
            if value < 0:
                raise UserError(f"algo.{name} must be 0 or more, got {value}")
        for name, value in (("tau", tau), ("low", low), ("wait", wait)):
            if not 0 <= value <= 1:
                raise UserError(f"algo.{name} must be in [0, 1], got {value}")
        self.lambda_u, self.lambda_em, self.lambda_socr = lambda_u, lambda_em, lambda_socr
        self.tau, self.low, self.wait, self.classes = tau, low, wait, setup.classes

    def forward(self, batch: Batch, step: Step) -> Losses:
        x, u = batch["labeled"], batch["unlabeled"]  # views (B, 3, H, W) and (N, 3, H, W)
        views = [stream[view] for stream in (x, u) for view in ("weak", "weak2", "strong")]
        outs = joint_forward("student", self.student, step, *views)  # features (B, D) three times, (N, D) three times
        target = as_target(x.y, self.classes)  # (B, C)
        with torch.autocast(u.index.device.type, enabled=False):
            own, weak, strong = (
                self.classify(self.student, outs[i].features) for i in (0, 3, 5)
            )  # (B, C), (N, C) twice
            d_x, d_x2, d_xs, d, d2, d_s = (self.student.added["ova"](out.features) for out in outs)
            near = -(target * (F.logsigmoid(d_x) + F.logsigmoid(d_x2))).sum(1).mean() / 2  # ()
            far = (others(d_x, target) + others(d_x2, target)) / 4 + others(d_xs, target) / 2  # ()
            none = (d.detach().sigmoid() <= self.low) * F.softplus(d_s)  # (N, C)
            apart = 2 * (d.sigmoid() - d2.sigmoid()).square().sum(1).mean()  # ()
            unsure = (entropy(d) + entropy(d2)) / 2  # ()
        confidence, y = weak.detach().softmax(1).max(1)  # (N,), (N,) int64
        labels = PseudoLabels(one_hot(y, self.classes), (confidence >= self.tau).to(weak), confidence)
        begun = step.index >= self.wait * step.total
        terms = {
            "supervised": cross_entropies(target, own).mean(),
            "unlabeled": self.lambda_u * weighted_ce(strong, labels, n=len(u.index)),
            "ova": begun * (near + far),
            "negative": begun * none.sum(1).mean(),
            "entropy": begun * self.lambda_em * unsure,
            "agreement": begun * self.lambda_socr * apart,
        }
        return Losses(terms, labels)

    def classify(self, network: Classifier, features: Tensor) -> Tensor:
        """(N, C) logits of features (N, D)."""
        logits: Tensor = network.classifier()(network.added["own"](features))
        return logits

    def predict(self, network: Classifier, images: Tensor) -> Tensor:
        return self.classify(network, network(images).features)

    def open_set(self, network: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
        features = network(images).features
        return by_own_detector(self.classify(network, features), network.added["ova"](features))


def others(d: Tensor, target: Tensor) -> Tensor:
    """Mean over images of 1/C sum over c other than y of -log(1 - o_c), a scalar, of d and targets (B, C)."""
    return ((target.sum(1, keepdim=True) - target) * F.softplus(d)).sum(1).mean() / d.shape[1]


def as_it_is(features: int) -> nn.Module:
    """Two layers, features (N, D) -> (N, D), that change nothing to begin with: x = relu(x) - relu(-x)."""
    first = nn.Linear(features, max(HIDDEN, 2 * features))
    last = nn.Linear(first.out_features, features)
    both = torch.cat([torch.eye(features), -torch.eye(features)])  # (2 D, D)
    with torch.no_grad():
        last.weight.zero_()
        first.weight[: 2 * features] = both
        last.weight[:, : 2 * features] = both.T
        first.bias[: 2 * features] = 0
        last.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), last)
