"""A guard against host synchronisation: what would wait for a GPU fails on the CPU, too.

    with no_sync():
        mixer.mix(images, labels, step)

It sees `.item()`, `float(tensor)`, `if tensor`, `nonzero` and boolean indices, but neither `.tolist()` nor `.numpy()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
# The shape or value of what these give is needed on the host.
WAITING = {
    aten._local_scalar_dense,
    aten.bincount,
    aten.equal,
    aten.masked_select,
    aten.nonzero,
    aten.repeat_interleave,
    aten._unique2,
    aten.unique_consecutive,
    aten.unique_dim,
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}


class HostSync(AssertionError):
    """An operation waited for the device."""


class no_sync(TorchDispatchMode):
    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        operation: Callable[..., Any] = func.overloadpacket
        if operation in WAITING:
            raise HostSync(f"{func} waits for the device")
        if operation in INDEXING and any(_is_mask(index) for index in args[1]):
            raise HostSync(f"{func} with a boolean index waits for the device")
        return func(*args, **(kwargs or {}))


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)
