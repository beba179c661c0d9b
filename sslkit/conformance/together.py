"""Two processes with half of the batch each come to what one process comes to.

Both are started once and asked about one part after another: most of the time goes into their imports.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import queue
import tempfile
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from sslkit import registry
from sslkit.conformance import expect, tiny
from sslkit.contracts import Algorithm
from sslkit.errors import one_line
from sslkit.plugins import load_plugin
from sslkit.randomness import Step

STEPS, PATIENCE = 3, 120.0  # seconds


def processes_agree(cls: type[Algorithm]) -> None:
    """Two processes, each with half of every batch, end with the weights and the state of one that had both."""
    alone = _trained(cls, [0, 1])
    answers = _pair().ask(f"{cls.__module__}:{cls.__qualname__}")
    wrong = next((answer for answer in answers if isinstance(answer, str)), "")
    expect(not wrong, f"a process of two ends with {wrong}")
    stored = [answer for answer in answers if isinstance(answer, bytes)]
    first, second = (torch.load(io.BytesIO(one), weights_only=True) for one in stored)
    for name, tensor in alone.items():
        expect(torch.equal(first[name], second[name]), f"{name} differs between two processes")
        near = torch.allclose(first[name].double(), tensor.double(), atol=1e-5, rtol=1e-4, equal_nan=True)
        expect(near, f"{name} is another with two processes than with one that has both halves")


def _trained(cls: type[Algorithm], micros: list[int]) -> dict[str, Any]:
    """The state after some steps, in each of which this process has the micro-batches with these numbers of two."""
    algorithm = tiny.made(cls)
    trainer = Shared(algorithm)
    algorithm.start(trainer)
    for index in range(STEPS):
        batches = [tiny.batch(cls, seed=2 * index + micro) for micro in micros]
        at = [Step(index, tiny.STEP.total, tiny.STEP.seed, micro) for micro in micros]
        algorithm.train_step(trainer, batches, at)
    return tiny.state(algorithm)


class Shared(tiny.Trainer):
    """A trainer whose gradients are the mean over processes, where there are several, right after they are made."""

    def backward(self, loss: Tensor) -> None:
        super().backward(loss)
        if dist.is_initialized():
            for parameter in self.algorithm.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= dist.get_world_size()


class Pair:
    """Two processes that wait for the names of classes."""

    def __init__(self) -> None:
        context = mp.get_context("spawn")
        self.folder = tempfile.TemporaryDirectory()
        self.questions, self.answers = [context.Queue(), context.Queue()], [context.Queue(), context.Queue()]
        ends = zip(self.questions, self.answers, strict=True)
        place = f"file://{self.folder.name}/meet"
        self.processes = [
            context.Process(target=_serve, args=(rank, place, *pair), daemon=True) for rank, pair in enumerate(ends)
        ]
        for process in self.processes:
            process.start()

    def ask(self, where: str) -> list[bytes | str]:
        """For each process the stored state, or what it raised.

        Raises:
            Broken: they wait for each other.
        """
        files = [str(file) for file in registry.plugins]
        for question in self.questions:
            question.put((where, files))
        found: list[bytes | str] = []
        for answer in self.answers:
            try:
                found.append(answer.get(timeout=PATIENCE))
            except queue.Empty:
                self.end()
                expect(False, "two processes wait for each other for ever")
        if any(isinstance(one, str) for one in found):  # the other may be in the middle of something
            self.end()
        return found

    def end(self) -> None:
        _known.clear()
        for process in self.processes:
            process.kill()
            process.join()
        self.folder.cleanup()


_known: list[Pair] = []


def _pair() -> Pair:
    if not _known:
        _known.append(Pair())
        atexit.register(_end)
    return _known[0]


def _end() -> None:
    for pair in [*_known]:
        pair.end()


def _serve(rank: int, place: str, questions: Any, answers: Any) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", place, rank=rank, world_size=2)
    while True:
        where, files = questions.get()
        try:
            for file in files:
                load_plugin(file)
            module, _, name = where.partition(":")
            stored = io.BytesIO()
            torch.save(_trained(getattr(importlib.import_module(module), name), [rank]), stored)
            answers.put(stored.getvalue())
        except Exception as error:  # what a part raises is anything
            answers.put(one_line(error))
