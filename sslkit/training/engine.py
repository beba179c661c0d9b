"""The engine: the loop of one stage, its log, its checkpoints, and how it is gone on with.

It knows no algorithm by name. Nothing in a step waits for the device; values come to the host at the log interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_

from sslkit.contracts import Batch, Losses
from sslkit.errors import Stopped
from sslkit.machine import ranks
from sslkit.network import Classifier, Output
from sslkit.randomness import Step
from sslkit.store import bases, checkpoint
from sslkit.training.calibration import calibrate
from sslkit.training.evaluation import autocast, encode, logits, outputs, scores, told_apart, validated
from sslkit.training.given import given
from sslkit.training.log import EVERY, Log, NonFinite, SharedLog
from sslkit.training.optim import learning_rate, optimizer, optimizer_tensors, restore_optimizers
from sslkit.training.stage import Job, checkpoints, last_checkpoint, not_finite

EVALUATIONS = 10  # of the validation part in a stage, where there is one
Report = Callable[[int, dict[str, Any]], None]  # steps done, the line that was logged


class Engine:
    """Trains one stage; is the `Trainer` that algorithms see.

    Args:
        folder: the stage's working folder; a checkpoint in it is gone on from.
        save_every: seconds between checkpoints.
        report: called after every log interval.
        stop: asked after every step whether to save and stop; of several processes at the log interval, where one that
            wants to stop stops all.
        say: given a sentence when a stage is gone on with.
        saved: given the log, all of which stands from then on, after a checkpoint.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        *,
        save_every: float = 120.0,
        report: Report = lambda done, line: None,
        stop: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda sentence: None,
        saved: Callable[[Path], None] = lambda log: None,
    ) -> None:
        self.job, self.folder, self.save_every, self.report = job, folder, save_every, report
        self.stop, self.say, self.saved = stop, say, saved
        self.spec, self.algorithm, self.average = job.spec, job.algorithm, job.average
        self.training, self.total = job.spec.training, int(job.spec.training["steps"])
        self.device = torch.device(self.spec.device)
        self.rank, self.world = ranks.rank(), ranks.count()
        self.wrapped: Any = self.algorithm
        if self.world > 1:
            shards = bool(self.training.get("fsdp"))
            self.wrapped = ranks.wrap(self.algorithm, self.average, self.device, shards)
        modules = self.algorithm.trainable()
        self.trainable = {n: [p for p in m.parameters() if p.requires_grad] for n, m in modules.items()}
        self.optimizers = {n: optimizer(m, self.algorithm.student, self.training) for n, m in modules.items()}
        self.bad, self.norm = torch.zeros(2, device=self.device)  # bad is 1 from the first step that was not finite
        self.averages = all(module is not self.average for module in self.algorithm.modules())
        self.runs, self.done, self.seconds = 0, 0, 0.0
        self.best: dict[str, Any] = {}

    def run(self, batch: Batch, step: Step) -> Losses:
        self.runs += 1
        ranks.exchange_next(self.wrapped, last=self.runs == self.training["accumulate"])
        with autocast(self.spec):
            losses: Losses = self.wrapped(batch, step)
        return losses

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def update(self, name: str = "main") -> None:
        parameters = self.trainable[name]
        self.norm = ranks.norm(parameters)
        if self.training["clip"]:
            clip_grads_with_norm_(parameters, self.training["clip"], self.norm)
        self.bad = torch.maximum(self.bad, (~self.norm.isfinite()).float())
        chosen: Any = self.optimizers[name]
        if chosen.defaults["fused"]:
            chosen.found_inf = self.bad  # they leave weights and state alone where it is 1
        chosen.step()
        chosen.zero_grad()
        if self.world > 1:
            self.statistics.merge()
        self.runs = 0

    def encode(self, network: Classifier, stream: str) -> Output:
        return encode(network, self.job.pixels[stream], self.spec)

    def given(self, stream: str) -> Tensor:
        split = self.job.split
        return given(self.job.images, split.labeled if stream == "labeled" else split.pool, self.spec)

    def train(self) -> dict[str, Any]:
        """All steps from the last checkpoint on; the stage's result.

        Raises:
            Stopped: asked to stop; a checkpoint is written.
            UserError: a loss is not finite, or the disk is full; the last checkpoint stands.
        """
        self.algorithm.train()
        self.frozen = ranks.led(lambda: self.job.keep(self.folder))
        start, position = self._resume()
        log = (SharedLog if self.world > 1 else Log)(self.folder, position, start)
        self.statistics = ranks.Statistics(self.algorithm.student)
        if start == 0:
            self.algorithm.start(self)
        mark = saved = time.perf_counter()
        for index in range(start, self.total):
            if self._stale():
                break
            self.step(index, log)
            self.done = index + 1
            due = self.done % EVERY == 0 or self.done == self.total
            stopping = (due or self.world == 1) and ranks.anyone(self.stop())
            if not (due or stopping):
                continue
            now = time.perf_counter()
            self.seconds, mark = self.seconds + now - mark, now
            self._flush(log)
            if stopping or now - saved >= self.save_every:
                self._save(log)
                saved = time.perf_counter()
            ranks.barrier()  # what the leader cannot write, the others hear of here
            if stopping:
                log.close()
                raise Stopped(f"stopped after step {self.done} of {self.total} of {self.spec.stage}, which is saved")
        log.close()
        return self._finish()

    def step(self, index: int, log: Log) -> None:
        """One optimizer step; its values go to the log's device buffer."""
        lr = learning_rate(index, self.total, self.training)
        for chosen in self.optimizers.values():
            for group in chosen.param_groups:
                group["lr"] = lr * group["scale"]
        accumulate = self.training["accumulate"]
        first = self.rank * accumulate
        steps = [Step(index, self.total, self.spec.draws, first + k) for k in range(accumulate)]
        batches = [self.job.loader.batch(index, step.micro) for step in steps]
        losses = self.algorithm.train_step(self, batches, steps)
        if self.averages:
            self.average.update(self.algorithm.student)
        with torch.no_grad():
            log.add(losses, self.norm, [self._truth(batch) for batch in batches])

    def _truth(self, batch: Batch) -> Tensor | None:
        if self.job.truth is None or "unlabeled" not in batch:
            return None
        return self.job.truth[batch["unlabeled"].index]

    def _flush(self, log: Log) -> None:
        also = {"lr": learning_rate(self.done - 1, self.total, self.training), "seconds": round(self.seconds, 3)}
        if "val" in self.job.evaluation and self.algorithm.classifies and self._validates():
            also |= self._validate()
        try:
            self.report(self.done, log.flush(self.done, **also))
        except NonFinite as error:
            raise not_finite(self.spec, error, checkpoints(self.folder)) from None

    # Evaluation.

    def networks(self) -> dict[str, Classifier]:
        """Name -> network: the student, the averaged one, and what else the algorithm evaluates."""
        found = {"averaged": self.average.network} | self.algorithm.networks()
        return {n: net for n, net in found.items() if n == "averaged" or net is not self.average.network}

    @property
    def between(self) -> int:
        """Steps from one validation to the next."""
        return max(EVERY, self.total // EVALUATIONS // EVERY * EVERY)

    def _validates(self) -> bool:
        return self.done % self.between == 0 or self.done == self.total

    def _stale(self) -> bool:
        """Whether the averaged network was best on the validation part `patience` validations ago."""
        patience = self.training.get("patience")
        return bool(patience and self.best and self.done - self.best["step"] >= patience * self.between)

    def _validate(self) -> dict[str, float]:
        found = outputs(self.algorithm, self.average.network, self.job.evaluation, self.spec)
        name, value = validated(*found["val"])
        if value > self.best.get(name, -1):
            about = {"step": self.done, name: value, "calibration": calibrate(found)}
            self.best = (scores(*found["test"]) if "test" in found else {}) | about
            self._write("best", self.job.weights(), self.best | self.frozen)
        return {name: value}

    def _finish(self) -> dict[str, Any]:
        """Evaluate at the last step, write weights and predictions; the result."""
        result: dict[str, Any] = {"seconds": self.seconds, "steps": self.done, "networks": {}}
        predictions = {"label": torch.zeros(0, dtype=torch.int64)}
        if "test" in self.job.evaluation:  # there is none where images without labels are pre-trained on
            pixels, predictions["label"] = self.job.evaluation["test"]
            for name, network in self.networks().items() if self.algorithm.classifies else ():
                predictions[name] = logits(self.algorithm, network, pixels, self.spec)
                apart = told_apart(self.algorithm, network, self.job.evaluation["test"], self.job.unknown, self.spec)
                result["networks"][name] = scores(predictions[name], predictions["label"]) | apart
        result["best"] = self.best or None
        if self.best:
            found = outputs(self.algorithm, self.average.network, self.job.evaluation, self.spec)
            result["calibration"] = calibrate(found)
        self._write("predictions", predictions, {"classes": self.spec.data["classes"]})
        self._write("weights", self.job.weights(), {"steps": self.done} | self.frozen)
        return result

    def _write(self, name: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        if self.rank == 0:
            checkpoint.save(self.folder / f"{name}.safetensors", tensors, about)

    # Checkpoints: algorithm, average and optimizers at a step; draws are functions and need no saving.

    def _save(self, log: Log) -> None:
        tensors = self.job.weights() | optimizer_tensors(self.optimizers)
        if self.rank:
            return
        about = {"step": self.done, "seconds": self.seconds, "log": log.position, "best": self.best} | self.frozen
        self._write(f"checkpoint-{self.done:09d}", tensors, about)
        for old in checkpoints(self.folder)[:-2]:  # the last but one stays, should the last be damaged later
            old.unlink()
        self.saved(log.path)

    def _resume(self) -> tuple[int, int]:
        """Step to go on from, and the length of the log there."""
        loaded = last_checkpoint(self.folder, self.say) if self.rank == 0 else None
        path = ranks.led(lambda: loaded and loaded[0])  # all ranks read the leader's file
        if path is None:
            return 0, 0
        tensors, about = loaded[1:] if loaded else bases.load(path)
        self.job.restore(tensors)
        restore_optimizers(self.optimizers, tensors)
        self.done, self.seconds, self.best = about["step"], about["seconds"], about["best"]
        self.say(f"{self.spec.stage} goes on from step {self.done}")
        ranks.barrier()  # the leader may remove it later
        return self.done, about["log"]
