"""How a stage is computed: with blocks that are recomputed in the backward pass, and with compiled networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from sslkit.average import Average
from sslkit.contracts import Algorithm
from sslkit.errors import UserError, one_line
from sslkit.network import Classifier, PatchEncoder
from sslkit.training.spec import Spec


def equip(spec: Spec, algorithm: Algorithm, average: Average) -> None:
    """Do what `grad_checkpoint` and `compile` ask for; names and values of weights stay as they are.

    Raises:
        UserError: the network has no blocks, or nothing can be compiled here.
    """
    if spec.training.get("grad_checkpoint"):
        recompute(algorithm.student, spec)
    if spec.training.get("compile"):
        check_compiler(spec.device)
        make_room()
        for network in (*algorithm.modules(), *average.modules()):
            if isinstance(network, Classifier):
                compile_network(network)


def recompute(network: Classifier, spec: Spec) -> None:
    """Keep what goes into each block for the backward pass, and compute what is within it again (arXiv:1604.06174).

    Loss and gradients are the same to the bit: the block draws the same numbers again, and BatchNorm's running
    statistics are updated once.

    Raises:
        UserError: the network has no blocks, or BatchNorm's statistics would be compiled with it.
    """
    name, blocks = spec.parts["backbone"]["name"], network.stack()
    if not blocks:
        raise UserError(f"backbone {name!r} does not say which blocks can be recomputed; drop --grad-checkpoint")
    norms = any(isinstance(module, _BatchNorm) for block in blocks for module in block.modules())
    if norms and spec.training.get("compile"):
        raise UserError(f"backbone {name!r} has BatchNorm: --grad-checkpoint and --compile do not go together there")
    for block in blocks:
        block.forward = partial(_recomputed, block, block.forward, norms)


def _recomputed(block: nn.Module, forward: Callable[..., Any], norms: bool, *inputs: Any, **keys: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **keys)
    if norms:
        keys["context_fn"] = lambda: (nullcontext(), _on_copies(block))
    return checkpoint(forward, *inputs, use_reentrant=False, **keys)


@contextmanager
def _on_copies(block: nn.Module) -> Iterator[None]:
    """Forwards update copies of BatchNorm's running statistics, which would be moved twice: pytorch/pytorch#96136."""
    own = [(m, name, x) for m in block.modules() if isinstance(m, _BatchNorm) for name, x in m.named_buffers()]
    for module, name, x in own:
        setattr(module, name, x.clone())
    try:
        yield
    finally:
        for module, name, x in own:
            setattr(module, name, x)


def compile_network(network: Classifier) -> None:
    """Compile what is called in training: `forward`, and `encode` of a vision transformer; one graph for each shape."""
    network.compile(dynamic=False)
    if isinstance(network, PatchEncoder):
        network.encode = torch.compile(network.encode, dynamic=False)  # type: ignore[method-assign]


def make_room() -> None:
    """Forget what was compiled before, and let torch compile as many graphs as a stage has networks, modes and shapes.

    Unless told otherwise it keeps eight graphs of one function for the whole process. Networks of one class share
    theirs: the ninth network, shape or mode, as in a later run of a comparison, would not be compiled at all.
    """
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = 64


@cache
def check_compiler(device: str) -> None:
    """Compile a small function.

    Raises:
        UserError: that fails; says why.
    """
    x = torch.ones(8, device=device)
    try:
        torch.compile(lambda x: (x.sin() + 1).relu())(x)
    except Exception as error:  # a compiler that is missing is an error of many kinds
        raise UserError(
            f"torch.compile does not work here ({one_line(error)}); it needs a C++ compiler, as g++, "
            "and on a GPU triton; or drop --compile"
        ) from None
