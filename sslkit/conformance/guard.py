"""A guard against host synchronisation: what would wait for a GPU fails on the CPU, too.

    with no_sync():
        mixer.mix(images, labels, step)

It sees `.item()`, `float(tensor)`, `if tensor`, `nonzero` and boolean indices; `no_waiting_at_all` also `.tolist()`,
`.numpy()` and `.cpu()`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


class no_sync(TorchDispatchMode):  # type: ignore[no-untyped-call]
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


@contextmanager
def no_waiting_at_all() -> Iterator[None]:
    """As `no_sync`, and what brings a tensor to the host raises, too; draws that are made there may be read."""
    own = {name: getattr(Tensor, name) for name in ("tolist", "numpy", "cpu")}

    def refused(name: str) -> Callable[..., Any]:
        def refuse(*arguments: Any, **named: Any) -> Any:
            if sys._getframe(1).f_globals.get("__name__") == "sslkit.randomness":
                return own[name](*arguments, **named)
            raise HostSync(f"Tensor.{name} waits for the device")

        return refuse

    for name in own:
        setattr(Tensor, name, refused(name))
    try:
        with no_sync():  # type: ignore[no-untyped-call]
            yield
    finally:
        for name, function in own.items():
            setattr(Tensor, name, function)
