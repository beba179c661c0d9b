"""`--fsdp`: weights, gradients and optimizer states in shards, one for each process (PyTorch's FSDP2).

A block is put together for its forward and for its backward pass, and given up again. What is stored is whole: the
files are those of processes that hold everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sslkit.average import Average
from sslkit.contracts import Algorithm
from sslkit.errors import UserError, one_line
from sslkit.network import Classifier, PatchEncoder

TRIED = (2, 14)  # the oldest torch that this was tried with


def shard(algorithm: Algorithm, average: Average, device: torch.device) -> nn.Module:
    """The algorithm, whose backward averages gradients over the processes: every parameter in shards.

    Student and averaged networks are sharded block by block, what else is trained as one.

    Raises:
        UserError: this torch is older than tried, or its processes cannot exchange shards.
    """
    if tuple(map(int, torch.__version__.split(".")[:2])) < TRIED:
        raise UserError(f"--fsdp needs torch {TRIED[0]}.{TRIED[1]} or newer, this is {torch.__version__}")
    check_exchange(device)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    networks = dict.fromkeys(m for part in (algorithm, average) for m in part.modules() if isinstance(m, Classifier))
    for network in networks:
        network.to(memory_format=torch.contiguous_format)  # else it is refused: pytorch/torchtitan#1180
        for block in (*network.stack(), network):
            fully_shard(block, mesh=mesh, reshard_after_forward=True)
        if isinstance(network, PatchEncoder):
            register_fsdp_forward_method(network, "encode")
    fully_shard(algorithm, mesh=mesh, reshard_after_forward=True)
    return algorithm


def check_exchange(device: torch.device) -> None:
    """Gather and scatter a small tensor.

    Raises:
        UserError: says which of them the installed torch lacks.
    """
    shards = torch.zeros(1, device=device), torch.zeros(dist.get_world_size(), device=device)
    for name, places in (("all_gather_single", shards[::-1]), ("reduce_scatter_single", shards)):
        exchange: Any = getattr(dist, name)
        try:
            exchange(*places)
        except (RuntimeError, NotImplementedError) as error:
            backend = dist.get_backend()
            raise UserError(
                f"--fsdp needs {name}, which torch {torch.__version__} does not have here, with {backend} on "
                f"{device.type} ({one_line(error)}); drop --fsdp"
            ) from None


def whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors put together from their shards, on the leader's CPU; all processes must ask for it.

    Elsewhere a tensor in shards is left out. What is in no shards stays as it is.
    """
    leads = not dist.is_initialized() or dist.get_rank() == 0
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        together = gathered(tensor)
        if together is tensor:
            found[name] = tensor
        elif leads:
            found[name] = together.cpu()
    return found


def gathered(tensor: Any) -> Tensor:
    """The tensor, whole: itself, or put together from its shards, which all processes must ask for."""
    together: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return together


def like(tensor: Tensor, own: Any) -> Tensor:
    """A whole tensor, which all processes have, in the shards that `own` is in; as it is where `own` is whole."""
    if not hasattr(own, "device_mesh"):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(tensor.to(own.device), own.device_mesh, own.placements, src_data_rank=None)


def spread(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors by the names of a module's, each as the module has it."""
    own = module.state_dict()
    return {name: like(tensor, own[name]) if name in own else tensor for name, tensor in tensors.items()}
