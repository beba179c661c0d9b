"""Several processes: who leads, what is shared, and how all of them end when one fails.

torchrun, or srun, starts the same command once a rank. All ranks compute their share of every step; rank 0 leads: it
alone decides, prints and writes. One process is its own leader, needs no group, and all that is here costs it nothing.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import timedelta
from functools import cache
from typing import Any, TextIO, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import get_total_norm

from sslkit.average import Average
from sslkit.contracts import Algorithm
from sslkit.errors import Stopped, UserError, one_line
from sslkit.losses import gather
from sslkit.machine.launch import Launch, launch
from sslkit.machine.sharding import gathered, shard

T = TypeVar("T")
MEETING = timedelta(minutes=5)  # for all tasks of a Slurm step to have imported torch and come
PATIENCE = timedelta(days=7)  # the leader may decode data, or wait for a stage that another run trains
KINDS: dict[str, type[BaseException]] = {k.__name__: k for k in (UserError, Stopped, KeyboardInterrupt, OSError)}
_groups = itertools.count()


def count() -> int:
    """Processes that share every step."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this one, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Whether this process decides, prints and writes."""
    return rank() == 0


def led(work: Callable[[], T]) -> T:
    """What `work()` gives on the leader, which alone does it: a small Python object, on every rank."""
    box: list[T | None] = [work() if leads() else None]
    if count() > 1:
        dist.broadcast_object_list(box, src=0)
    return box[0]  # type: ignore[return-value]


def leader_first(work: Callable[[], T]) -> T:
    """`work()` on every rank, on the others when the leader is done: they find what it has stored."""
    if leads():
        found = work()
        barrier()
        return found
    barrier()
    return work()


@contextmanager
def lead(held: AbstractContextManager[T]) -> Iterator[T]:
    """A context that the leader alone enters; what it gives is shared, and all go on when the leader has left it."""
    with held if leads() else nullcontext() as mine:
        yield led(lambda: mine)  # type: ignore[misc]
    barrier()


def agree(value: object) -> None:
    """Make sure that a small Python object is equal on all ranks.

    Raises:
        UserError: on a rank where it is not.
    """
    if led(lambda: value) != value:
        raise UserError("the processes do not see the same data, settings and parts; all need the same file system")


def anyone(yes: bool) -> bool:
    """Whether any rank says yes."""
    if count() == 1:
        return yes
    said = torch.tensor(int(yes))
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said)


def barrier() -> None:
    """Wait until all ranks are here."""
    anyone(False)


def total(x: Tensor) -> Tensor:
    """The sum of `x` over the ranks, in its place."""
    if count() > 1:
        dist.all_reduce(x)
    return x


@contextmanager
def group() -> Iterator[None]:
    """Within it, the processes that torchrun or srun started are one group: gloo, and NCCL for tensors on a GPU.

    The first rank that fails tells the others, and all raise its error: the others hear of it in the exchange that
    they wait in, and print nothing. Standard output is the leader's from here on.

    Raises:
        UserError: the processes do not find each other, or one has died.
    """
    if dist.is_initialized() or (found := launch()).world == 1:
        yield
        return
    store = _join(found)
    if not leads():
        sys.stdout = _nowhere()
    try:
        yield
        barrier()
    except BaseException as error:
        raise _first(store, error) from None
    finally:
        dist.destroy_process_group()
        if found.by == "srun":
            _all_left(store, found)


def _join(me: Launch) -> Store:
    gpus = torch.cuda.is_available() and dist.is_nccl_available()
    try:
        met = _meet(me) if me.by == "srun" else next(rendezvous("env://"))[0]
        store = PrefixStore(f"{me.step} sslkit {next(_groups)}", met)
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        dist.init_process_group(backend, store=store, rank=me.rank, world_size=me.world, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        alone = f"; {me.world} tasks are one run, for a single one write srun -n 1" if me.by == "srun" else ""
        place = f"{me.host}:{me.port}"
        raise UserError(f"the processes do not find each other at {place}: {one_line(error)}{alone}") from None
    return store


@cache
def _meet(me: Launch) -> Store:
    """Where the tasks of a step tell each other what they are; kept, as a port is not free again at once."""
    return dist.TCPStore(  # type: ignore[attr-defined]
        me.host, me.port, me.world, me.rank == 0, MEETING
    )


def _first(store: Store, error: BaseException) -> BaseException:
    """The error of the rank that failed first: `error` itself, or what another one told; then this one is silent."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, as soon as one has ended: all end by themselves
    if isinstance(error, RuntimeError) and ("gloo" in str(error) or isinstance(error, dist.DistError)):
        error = UserError("another process has died; the same command goes on from the last checkpoint")
    kind = next((name for name, known in KINDS.items() if isinstance(error, known)), "")
    try:
        told, name, text = json.loads(store.compare_set("error", "", json.dumps([rank(), kind, str(error)])))
    except RuntimeError:  # torchrun, or task 0, which keeps the store, has died itself
        return error
    if told == rank():
        return error
    sys.stderr = _nowhere()
    return KINDS.get(name, SystemExit)(text)


def _all_left(store: Store, me: Launch) -> None:
    """Keep the store, which is task 0's, until all have asked it what the error was, or do not for some seconds."""
    with suppress(RuntimeError):  # task 0 has died
        store.add("left", 1)
        until = time.monotonic() + 10
        while me.rank == 0 and store.add("left", 0) < me.world and time.monotonic() < until:
            time.sleep(0.02)


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def wrap(algorithm: Algorithm, average: Average, device: torch.device, shards: bool) -> nn.Module:
    """The algorithm, whose backward averages gradients over the ranks; of `shards` each rank keeps one alone."""
    if shards:
        return shard(algorithm, average, device)
    unused = not algorithm.classifies  # the head: only then it must be looked for
    # from 2.13 on torch wants `forward_sync_buffers`, which 2.9 does not know: pytorch/pytorch#178054
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(algorithm, broadcast_buffers=False, find_unused_parameters=unused)


def exchange_next(wrapped: nn.Module, last: bool) -> None:
    """Whole gradients are exchanged with the last micro-batch, those in shards with each: none is kept whole."""
    if isinstance(wrapped, DistributedDataParallel):
        wrapped.require_backward_grad_sync = last


def norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of the gradient over all parameters, and over all shards: a scalar, equal on all ranks."""
    return gathered(get_total_norm([p.grad for p in parameters if p.grad is not None]))


class Statistics:
    """BatchNorm's running statistics, as one process with all the micro-batches would leave them.

    One process takes r <- (1 - m) r + m b in one forward after the other. Rank i, after n forwards of its own, is at
    r_i = d r + c_i with d = (1 - m)^n; one process would be at d^W r + sum_i d^(W - 1 - i) c_i.

    Args:
        network: as the step begins.
    """

    def __init__(self, network: nn.Module) -> None:
        norms: list[Any] = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        self.running = [x for m in norms for x in (m.running_mean, m.running_var)]
        self.forwards = [m.num_batches_tracked for m in norms]
        if norms:
            device = self.running[0].device
            self.sizes = [len(x) for x in self.running]
            self.norm = torch.tensor([i for i, m in enumerate(norms) for _ in range(2 * m.num_features)], device=device)
            self.kept = torch.tensor([1 - m.momentum for m in norms], device=device)
            self.before = torch.cat(self.running), torch.stack(self.forwards)

    @torch.no_grad()
    def merge(self) -> None:
        """Put together what the ranks have seen since the last time."""
        if not self.running:
            return
        start, forwards = self.before
        seen = torch.stack(self.forwards) - forwards
        d = (self.kept**seen)[self.norm]
        merged = start
        for theirs in gather(torch.cat(self.running)[None]):
            merged = theirs + d * (merged - start)
        torch._foreach_copy_(self.running, list(torch.split(merged, self.sizes)))
        torch._foreach_add_(self.forwards, list((count() - 1) * seen))
        self.before = merged, torch.stack(self.forwards)
