"""Forwards of a network that does not change, fast on a CPU: without BatchNorm, and with batches for every core."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from sslkit.network import Classifier

CLOSE = 1e-5  # how far features may be from those of the network, as a share of the largest one
T = TypeVar("T")
R = TypeVar("R")


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """`work` of each item, in their order. Each thread does one at a time and computes on one core; within an
    operation cores wait for each other, most of all in depthwise convolutions.

    Items are asked for as they are needed, at most two a thread ahead. Every thread sets torch's number of threads,
    which is to be put back at the end.
    """
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        begun: deque[Future[R]] = deque()
        for item in items:
            begun.append(pool.submit(work, item))
            if len(begun) > 2 * threads:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@torch.inference_mode()
def folded(network: Classifier, images: Tensor) -> Classifier:
    """A copy whose BatchNorms are part of the convolutions before them, in channels-last order; `network` itself where
    there are none, or where the features of `images` are not the same to `CLOSE`.

    Args:
        network: in evaluation mode.
        images: (n, 3, S, S) float32, to try it on.
    """
    try:
        made = copy.deepcopy(network)
        pairs = _pairs(made, images)
        for convolution, norm in pairs:
            _fold(made, convolution, norm)
        made = made.to(memory_format=torch.channels_last)
        features = network(images).features
        far = (made(images).features - features).abs().max()
    except (AttributeError, RuntimeError, TypeError):  # weights that are computed, or a norm that is looked into
        return network
    return made if pairs and bool(far <= CLOSE * features.abs().max().clamp(min=1)) else network


def _pairs(network: Classifier, images: Tensor) -> list[tuple[str, str]]:
    """Names of convolutions, and of the BatchNorms that are given just what they return."""
    made: dict[int, tuple[str, Tensor]] = {}  # with the tensor, or its number would be that of another one later
    pairs = []

    def watch(name: str, module: nn.Module) -> torch.utils.hooks.RemovableHandle:
        def called(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            if isinstance(module, nn.Conv2d):
                made[id(output)] = name, output
            elif args and id(args[0]) in made:
                pairs.append((made[id(args[0])][0], name))

        return module.register_forward_hook(called)

    watched = (nn.Conv2d, nn.BatchNorm2d)
    hooks = [watch(name, module) for name, module in network.named_modules() if isinstance(module, watched)]
    network(images)
    for hook in hooks:
        hook.remove()
    return pairs


def _fold(network: Classifier, convolution: str, norm: str) -> None:
    """Scale the convolution as the norm would; in the norm's place stays the activation that timm puts into it."""
    conv, bn = network.get_submodule(convolution), network.get_submodule(norm)
    assert isinstance(conv, nn.Conv2d), "as `_pairs` finds them"
    assert isinstance(bn, nn.BatchNorm2d), "as `_pairs` finds them"
    mean, var = bn.running_mean, bn.running_var
    if mean is None or var is None:  # it normalises by the batch
        return
    weight, bias = fuse_conv_bn_weights(conv.weight, conv.bias, mean, var, bn.eps, bn.weight, bn.bias)
    conv.weight, conv.bias = weight, bias
    network.set_submodule(norm, getattr(bn, "act", nn.Identity()))
