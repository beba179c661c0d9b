"""Adapters: what of a network trains, and what is put into it for that. All else is frozen.

A network does not change its names: a weight that is frozen is called as in the network without an adapter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sslkit.network import Classifier, Shape


class Adapter(ABC):
    """Made as `Adapter(shape, **options)`, for the network of one stage."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # configuration keys this adapter wants set otherwise

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    @abstractmethod
    def insert(self, network: Classifier) -> Iterable[nn.Parameter]:
        """Put into the network what it lacks; what trains beside the head.

        Right after this the network gives what it gave before, to the bit.

        Raises:
            UserError: the network has no place for it; names adapters that would work.
        """


class Inserted(nn.Module):
    """A module that an adapter put into a network."""

    def merged(self) -> nn.Module | None:
        """What stood in its place, with what was learned added to its weights; None where no weights can hold it."""
        return None


def adapt(adapter: Adapter, network: Classifier) -> None:
    """Insert the adapter, and freeze all parameters but those that it names and the head's.

    Raises:
        UserError: the adapter does not fit, or the network has no head that is found.
    """
    head = network.classifier()
    trained = {id(p) for p in adapter.insert(network)} | {id(p) for p in head.parameters()}
    for parameter in network.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    network.frozen = frozenset(n for n, p in network.named_parameters() if not p.requires_grad)


def inputs(network: Classifier, modules: Iterable[nn.Module], size: int) -> dict[nn.Module, int]:
    """Module -> last dimension of what it is given, in the order in which one image goes through them.

    A module that is not called is not in it: some networks take a layer's weights and pass the layer by.

    Args:
        size: side of the image, in pixels.
    """
    found: dict[nn.Module, int] = {}

    def note(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.setdefault(module, given[0].shape[-1])

    hooks = [module.register_forward_pre_hook(note) for module in modules]
    was_training = network.training
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, size, size))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return found


def merged(network: Classifier) -> Classifier:
    """A copy of the network in which weights hold what was learned, where they can; the network stays as it is."""
    copy = network.twin()
    for name, module in list(copy.named_modules()):
        if isinstance(module, Inserted) and (plain := module.merged()) is not None:
            parent, _, own = name.rpartition(".")
            setattr(copy.get_submodule(parent), own, plain)
    return copy
