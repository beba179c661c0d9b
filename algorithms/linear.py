"""Logistic regression with an L2 penalty on the features of the labelled images: the linear probe.

Paper: Kornblith et al. 2019, Do Better ImageNet Models Transfer Better?, arXiv:1805.08974

The network is not trained. For the fit features are brought to one length, shifted by their mean and divided by one
number; no dimension is stretched (Kumar et al. 2022, arXiv:2202.10054). C is 3 at any number of labels: nothing is held
out for it, and no test is looked at.
"""

from torch import Tensor

from sslkit import logistic
from sslkit.contracts import Setup
from sslkit.frozen import LinearHead
from sslkit.registry import register


@register("algorithm")
class Linear(LinearHead):
    """min ½‖W‖² + C Σ_i w_i H(y_i, softmax(W z_i + b)); z as `sslkit.logistic.probe` makes it, w_i is 1 or the class's.

    Of images with several labels each class has a regression of its own, of those that have it against the others.

    Options:
        C: weight of the labels against the penalty, above 0.
    """

    weighs = True
    multilabel = True

    def __init__(self, setup: Setup, *, C: float = logistic.C) -> None:
        super().__init__(setup)
        self.classes, self.C = setup.classes, logistic.check("algo.C", C)

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        if label.ndim == 2:
            weight, bias = logistic.probes(labeled, label, self.C)
        else:
            weight, bias = logistic.probe(labeled, self.targets(label), self.classes, self.C)
        self.weight.copy_(weight)
        self.bias.copy_(bias)
