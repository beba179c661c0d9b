"""What a semi step of a large network needs: by arithmetic, and measured on a CPU.

    python -m benchmarks.memory                          the table of docs/results/large.md, no network is made
    python -m benchmarks.memory vit_base --step 1        one step with one labelled and `--mu` unlabelled images

The arithmetic is of fp32 and of what autograd keeps, counted on tensors without data.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from sslkit import registry
from sslkit.network import Classifier, Shape

GB = 1e9
BACKBONES = ("vit_base", "vit_large", "vit_huge", "convnext_tiny", "resnet50")


def made(name: str, size: int, classes: int) -> Classifier:
    """The backbone without data; its device is to be given."""
    with torch.device("meta"):
        network: Classifier = registry.load("backbone", name)(Shape(size, classes))
    return network.train()


class Kept:
    """Bytes of what autograd keeps for a backward pass, no storage twice, while it is entered.

    Args:
        own: ids of storages that do not count: those of parameters and buffers.
    """

    def __init__(self, own: set[int]) -> None:
        self.own, self.seen = own, dict[int, Tensor]()

    def __call__(self, x: Tensor) -> Tensor:
        place = x.untyped_storage()._cdata
        if place not in self.own:
            self.seen[place] = x  # it is held, so that no other storage gets its place
        return x

    @property
    def bytes(self) -> int:
        return sum(x.untyped_storage().nbytes() for x in self.seen.values())

    @contextmanager
    def counting(self) -> Iterator[None]:
        with torch.autograd.graph.saved_tensors_hooks(self, lambda x: x):
            yield


def activations(network: Classifier, size: int) -> tuple[float, float]:
    """Bytes that one image keeps for the backward pass: all of it, and with blocks that are recomputed.

    The second is what the blocks get, what is kept outside of them, and the inside of the largest block.
    """
    own = {t.untyped_storage()._cdata for t in (*network.parameters(), *network.buffers())}
    images = torch.zeros(2, 3, size, size)
    plain, outside = Kept(own), Kept(own)
    with plain.counting():
        network(images)
    inside = [0]

    def measured(block: nn.Module) -> None:
        forward = block.forward

        def apart(x: Tensor, *more: Any) -> Any:
            outside(x)
            within = Kept(own | {x.untyped_storage()._cdata})
            with within.counting():
                out = forward(x, *more)
            inside.append(within.bytes)
            return out

        block.forward = apart

    for block in network.stack():
        measured(block)
    with outside.counting():
        network(images)
    return plain.bytes / 2, (outside.bytes + max(inside)) / 2


def row(name: str, size: int, classes: int) -> list[str]:
    network = made(name, size, classes)
    with FakeTensorMode(allow_non_fake_inputs=True):  # what a CPU would do, shapes alone
        network.to_empty(device="cpu")
        parameters = sum(p.numel() for p in network.parameters())
        plain, again = activations(network, size)
    fixed = 4 * parameters * 5  # weights, gradients, two moments of AdamW, the averaged network
    numbers = (4 * parameters / GB, fixed / GB, plain / GB, again / GB)
    return [name, f"{parameters / 1e6:.0f}", *(f"{x:.2f}" for x in numbers)]


def table(size: int, classes: int) -> str:
    head = ["backbone", "parameters, M", "weights, GB", "x 5, GB", "an image, GB", "--grad-checkpoint, GB"]
    rows = [row(name, size, classes) for name in BACKBONES]
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def step(name: str, size: int, classes: int, labeled: int, mu: int, grad_checkpoint: bool, steps: int) -> str:
    """Semi steps of ema_teacher with prob_pseudo on drawn images: seconds of each, and the peak memory."""
    import tempfile
    from pathlib import Path

    import numpy as np

    from sslkit.config import Config
    from sslkit.config.resolve import named, resolve
    from sslkit.data import Images
    from sslkit.data.splits import Split
    from sslkit.machine import Machine
    from sslkit.training.engine import Engine
    from sslkit.training.log import Log
    from sslkit.training.spec import specify
    from sslkit.training.stage import build

    request = {"algo": "ema_teacher", "mixer": "prob_pseudo", "backbone": name, "semi.batch": labeled, "semi.mu": mu}
    request |= {"semi.steps": 100, "data.size": size, "grad_checkpoint": grad_checkpoint, "semi.skip_rejected": "off"}
    config: Config = resolve(named(request), registry.load("dataset", "digits"), lambda: name)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 3, size, size)).astype(np.uint8)
    names = [f"class {c}" for c in range(classes)]
    images = Images(pixels, np.arange(64) % classes, 48, names, "drawn", [f"image {i}" for i in range(64)])
    places = Split(np.arange(16), np.arange(16, 48), np.arange(0), np.arange(48, 64))
    machine = Machine("cpu", "fp32", torch.get_num_threads())
    parts = {s: p for s in ("algo", "teacher", "labeler", "mixer") if (p := getattr(config, s)) is not None}
    spec = specify(config, "semi", parts, config.semi, "", images, places, machine)
    with tempfile.TemporaryDirectory() as folder:
        engine = Engine(build(spec, images, places, None), Path(folder))
        engine.algorithm.train()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB
        log, seconds = Log(engine.folder, 0, 0), []
        for index in range(steps):
            start = time.perf_counter()
            engine.step(index, log)
            seconds.append(time.perf_counter() - start)
        line = log.flush(steps)
        log.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GB
    times = ", ".join(f"{s:.1f}" for s in seconds)
    what = f"{name}, {size} px, {labeled} + {labeled * mu} images, {machine.threads} threads"
    again = ", --grad-checkpoint" if grad_checkpoint else ""
    return f"{what}{again}: steps of {times} s, peak {peak:.1f} GB ({before:.1f} GB before the first), loss {line}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", nargs="?")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--step", type=int, metavar="LABELLED", help="labelled images of a step that is run")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--mu", type=int, default=1)
    parser.add_argument("--grad-checkpoint", action="store_true")
    chosen = parser.parse_args()
    if chosen.step is None:
        print(table(chosen.size, chosen.classes))
        return
    asked = (chosen.step, chosen.mu, chosen.grad_checkpoint, chosen.steps)
    print(step(chosen.backbone or "vit_base", chosen.size, chosen.classes, *asked))


if __name__ == "__main__":
    main()
