"""The student's exponential moving average (Mean Teacher, Semi-ViT's EMA-Teacher).

Paper: Tarvainen and Valpola 2017, arXiv:1703.01780; Cai et al. 2022, Semi-ViT, arXiv:2208.05688

With the decay and the rule for buffers of `eval` it is the network that is reported: there is no second copy.
"""

from typing import Literal

import torch
from torch import Tensor

from sslkit.average import Average
from sslkit.contracts import Setup, Teacher
from sslkit.losses import frozen_stats
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.registry import register


@register("teacher")
class EMA(Teacher):
    """Options:
    decay: of the average; None is that of the network that is evaluated (`eval.decay`), which it then is.
    mode: "eval" labels without dropout and stochastic depth (Semi-ViT), "train" with them and with batch
        statistics (Mean Teacher).
    buffers: "average" or "copy" BatchNorm's statistics; None is as `eval.buffers`.
    """

    def __init__(
        self,
        setup: Setup,
        *,
        decay: float | None = None,
        mode: Literal["train", "eval"] = "eval",
        buffers: Literal["average", "copy"] | None = None,
    ) -> None:
        super().__init__()
        self.mode = mode
        decay = setup.decay if decay is None else decay
        self.average = Average(setup.averaged, decay, buffers or setup.buffers)

    @torch.no_grad()
    def predict(self, student: Classifier, images: Tensor, step: Step) -> Output:
        network = self.average.network
        if self.mode == "eval":
            return step.forward("teacher", network, images)  # logits (N, C)
        network.train()
        with frozen_stats(network):
            output = step.forward("teacher", network, images)  # logits (N, C)
        network.eval()
        return output

    def update(self, student: Classifier, step: Step) -> None:
        self.average.update(student)

    def networks(self) -> dict[str, Classifier]:
        return {"teacher": self.average.network}
