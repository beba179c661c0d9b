"""What every adapter keeps, tried on a small vision transformer, else on a network with BatchNorm."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sslkit.adapter import Adapter, Inserted, adapt, merged
from sslkit.conformance import Check, expect, tiny
from sslkit.errors import UserError
from sslkit.network import Classifier, Shape

Kind = type[Adapter]
SHAPE = Shape(tiny.SIZE, tiny.CLASSES)


def networks() -> list[Classifier]:
    torch.manual_seed(0)
    return [tiny.Transformer(SHAPE), tiny.network(norm="batch")]


def made(cls: Kind) -> Classifier:
    """The first network that has a place for it, with the adapter."""
    refused: UserError | None = None
    for network in networks():
        try:
            adapt(cls(SHAPE), network)
            return network.train()
        except UserError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def logits(network: Classifier) -> torch.Tensor:
    with torch.no_grad():
        return network.eval()(tiny.images(4)).logits


def changes_nothing_at_first(cls: Kind) -> None:
    """Right after it is put in the network gives what it gave before, to the bit."""
    network = made(cls)
    before = next(n for n in networks() if type(n) is type(network))
    expect(torch.equal(logits(before), logits(network)), "the logits are others")


def freezes_the_rest(cls: Kind) -> None:
    """What it names, and the head, gets gradients; all else is frozen and shared with a twin."""
    network = made(cls)
    network(tiny.images(4)).logits.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        if name in network.frozen:
            expect(parameter.grad is None, f"{name} is frozen and gets a gradient")
        else:
            expect(parameter.grad is not None, f"{name} is to be trained and gets no gradient")
    twin, own = dict(network.twin().named_parameters()), dict(network.named_parameters())
    expect(all(twin[name] is own[name] for name in network.frozen), "a twin has frozen weights of its own")


def is_merged(cls: Kind) -> None:
    """After training, a copy in which weights hold what was learned gives the same logits."""
    network = made(cls)
    with torch.no_grad():
        for number, parameter in enumerate(p for p in network.parameters() if p.requires_grad):
            draw = torch.Generator().manual_seed(number)
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=draw))
    trained = logits(network)
    alone = merged(network)
    expect(torch.allclose(logits(alone), trained, atol=1e-4), "the logits of the merged copy are others")
    expect(torch.equal(logits(network), trained), "merging changes the network itself")


def is_stored(cls: Kind) -> None:
    """What it learned and what is frozen stand under names of the network: loaded into another one all is the same."""
    network, other = made(cls), made(cls)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.01)
    other.load_state_dict(network.state_dict())
    expect(torch.equal(logits(network), logits(other)), "the logits are others")
    known = [m for m in network.modules() if isinstance(m, Inserted)]
    expect(len(known) == len({id(m) for m in known}), "a module is put in twice")


CHECKS: Sequence[Check] = (changes_nothing_at_first, freezes_the_rest, is_merged, is_stored)
