"""One side of `benchmarks.steps`: a process that makes a step for every line it is sent, and says what it took.

It also runs in a checkout of an older build, commit f99e19c, where some modules have other names.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path.cwd()))

from benchmarks import test_semi_step
from sslkit.augment.render import view
from sslkit.contracts import Batch, Losses, PseudoLabeler, PseudoLabels
from sslkit.losses import cross_entropy, joint_forward, only_kept, weighted_ce
from sslkit.machine import Machine
from sslkit.network import Output
from sslkit.randomness import Draw, Step

OLD = not Path("sslkit/training").is_dir()
if OLD:
    from sslkit.engine import Engine  # type: ignore[import-not-found]
    from sslkit.log import Log  # type: ignore[import-not-found]
else:
    from sslkit.machine.allocator import keeping
    from sslkit.training.engine import Engine
    from sslkit.training.log import Log


bench: Any = test_semi_step  # whose settings are set here


class Passing(PseudoLabeler):
    """Hard labels; all of them are kept, or every other one."""

    def __init__(self, half: bool) -> None:
        super().__init__()
        self.every = 2 if half else 1

    def label(self, weak: Output, labeled: Output, batch: Batch, step: Step) -> PseudoLabels:
        confidence, y = weak.p.max(1)
        weight = (torch.arange(len(y)) % self.every == 0).float()
        return PseudoLabels(F.one_hot(y, weak.logits.shape[1]).float(), weight, confidence)


def made(asked: dict[str, Any]) -> Any:
    """The job, with all or half of the views passing."""
    backbone, _, size = asked["case"].partition("/")
    bench.BATCH = asked["batch"]
    settings = {"mixer": "none", "semi.skip_rejected": "auto", **asked["own"], **asked["settings"]}
    original = bench.named
    bench.named = lambda request: original(request | settings)
    bench.CPU = Machine("cpu", asked["precision"], 1)
    bench.THREADS = 1
    keys: dict[str, Any] = {} if OLD else {"machine": bench.CPU}
    job: Any = bench.make_job(backbone, int(size), **keys)
    job.algorithm.labeler = Passing(asked["half"])
    return job


def changed(engine: Any, change: str) -> None:
    """What is tried: another layout, another update, one forward of labelled and strong views."""
    algorithm = engine.algorithm
    if change in ("contiguous", "channels_last"):
        layout = torch.channels_last if change == "channels_last" else torch.contiguous_format
        algorithm.to(memory_format=layout)
        if change == "channels_last":
            batch = engine.job.loader.batch

            def turned(*at: int) -> Any:
                streams = batch(*at)
                for stream in streams.values():
                    for name, x in stream.views.items():
                        stream.views[name] = x.contiguous(memory_format=layout)
                return streams

            engine.job.loader.batch = turned
    if change == "foreach":
        for chosen in engine.optimizers.values():
            for group in (chosen.defaults, *chosen.param_groups):
                group["fused"], group["foreach"] = False, True
    if change == "one forward":
        type(algorithm).forward = one_forward


def one_forward(self: Any, batch: Batch, step: Step) -> Losses:
    """The default step with labelled and strong views in one forward of the student."""
    x, u = batch["labeled"], batch["unlabeled"]
    weak = self.teacher.predict(self.student, u["weak"], step)
    labels = self.labeler.label(weak, weak, batch, step)
    mixed = self.mixer.mix(u["strong"], labels, step)
    if self.skip_rejected:
        mixed = only_kept(mixed)
    out_x, out_u = joint_forward("student", self.student, step, x["weak"], mixed.images)
    unlabeled = self.lambda_u * weighted_ce(out_u.logits, mixed.labels, n=len(u.index))
    return Losses({"supervised": cross_entropy(out_x, x.y), "unlabeled": unlabeled}, labels, {"index": u.index})


class Sslkit:
    def __init__(self, asked: dict[str, Any], folder: Path) -> None:
        self.engine, self.log, self.index = Engine(made(asked), folder), Log(folder, 0, 0), 0
        changed(self.engine, asked["change"])
        self.engine.algorithm.train()
        self.inside = 0.0
        for owner, method in ((self.engine, "backward"), (Step, "forward")):
            setattr(owner, method, self.timed(getattr(owner, method)))

    def timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any) -> Any:
            start = time.process_time()
            try:
                return method(*args)
            finally:
                self.inside += time.process_time() - start

        return wrapper

    def step(self) -> float:
        """Seconds within forward and backward."""
        self.inside = 0.0
        self.engine.step(self.index, self.log)
        self.index += 1
        return self.inside


class Plain:
    """The same maths without registry, engine, log or keyed draws: every view forward, rejected ones with weight 0."""

    def __init__(self, asked: dict[str, Any], folder: Path) -> None:
        job = made(asked)
        self.batch, self.every = asked["batch"], 2 if asked["half"] else 1
        self.low = asked["precision"] == "bf16"
        self.student = copy.deepcopy(job.algorithm.student).train()
        self.teacher = copy.deepcopy(self.student).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.student.parameters(), 1e-3, weight_decay=0.05, fused=True)
        self.loader = job.loader

    def draw(self, stream: str, n: int) -> tuple[dict[str, Tensor], Tensor | None]:
        source = self.loader.sources[stream]
        index = torch.randint(len(source.pixels), (n,))
        draws = Draw(int(torch.randint(1 << 40, ())), index, torch.zeros_like(index))
        policies, mean, std = self.loader.views[stream], self.loader.mean, self.loader.std
        views = {name: view(source.pixels[index], policy, draws, mean, std) for name, policy in policies.items()}
        return views, None if source.label is None else source.label[index]

    def step(self) -> float:
        x, y = self.draw("labeled", self.batch)
        u, _ = self.draw("unlabeled", 3 * self.batch)
        assert y is not None
        start = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            with torch.no_grad():
                guess = self.teacher(u["weak"]).logits.argmax(1)
                weight = (torch.arange(len(guess)) % self.every == 0).float()
            labelled, strong = self.student(x["weak"]), self.student(u["strong"])
        loss = F.cross_entropy(labelled.logits, y)
        loss = loss + 5 * (weight * F.cross_entropy(strong.logits, guess, reduction="none")).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        inside = time.process_time() - start
        self.optimizer.step()
        self.optimizer.zero_grad()
        torch._foreach_lerp_([*self.teacher.parameters()], [*self.student.parameters()], 0.1)
        floating = [b for b in self.student.buffers() if b.is_floating_point()]
        if floating:
            torch._foreach_lerp_([b for b in self.teacher.buffers() if b.is_floating_point()], floating, 0.1)
        return inside


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(0)
    keeps = asked["code"] == "sslkit" and asked["change"] != "memory goes back" and not OLD
    with tempfile.TemporaryDirectory() as folder, keeping("cpu") if keeps else nullcontext():
        side: Any = None
        for _ in sys.stdin:
            side = side or {"sslkit": Sslkit, "plain": Plain}[asked["code"]](asked, Path(folder))
            start = time.process_time()
            inside = side.step()
            seconds = time.process_time() - start
            print(json.dumps({"seconds": seconds, "outside": 1 - inside / seconds}), flush=True)


if __name__ == "__main__":
    main()
