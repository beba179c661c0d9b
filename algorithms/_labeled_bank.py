"""Embeddings of images, and a bank of those of the labelled ones."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslkit.algorithms.labelers._last import last_of_each
from sslkit.contracts import Setup
from sslkit.losses import one_hot
from sslkit.network import Classifier

DIM = 128  # of an embedding


def embed(network: Classifier, features: Tensor) -> Tensor:
    """(N, 128) rows of length 1, of a network's features (N, D) by its head called projector."""
    with torch.autocast(features.device.type, enabled=False):
        return F.normalize(network.added["projector"](features), dim=1)


class LabeledBank(nn.Module):
    """An embedding and a class of every labelled image, K in all, known since its first visit."""

    embedding: Tensor  # (K, 128) rows of length 1; zeros before the first visit
    label: Tensor  # (K,) int64, the number of classes before the first visit

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.classes = setup.classes
        self.register_buffer("embedding", torch.zeros(setup.labeled, DIM))
        self.register_buffer("label", torch.full((setup.labeled,), setup.classes))

    def whole(self) -> Tensor:
        """() bool, whether every labelled image has been visited."""
        return (self.label < self.classes).all()

    def target(self) -> Tensor:
        """(K, C) one-hot classes; zeros before the first visit."""
        return one_hot(self.label, self.classes + 1)[:, :-1].to(self.embedding)

    def update(self, index: Tensor, embedding: Tensor, label: Tensor, momentum: float) -> None:
        """row <- normed (momentum row + (1 - momentum) new), of images that may stand twice: the last one counts."""
        last = last_of_each(index)  # (B,)
        moved = momentum * self.embedding[index] + (1 - momentum) * embedding[last]  # (B, 128)
        self.embedding[index] = F.normalize(moved, dim=1)
        self.label[index] = label[last]
