"""Training written out: the losses of each method, AdamW and the averages, without the kernel's own.

It shares with the engine nothing but the network, the batches and the draws of `Step`.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from sslkit.contracts import Batch
from sslkit.network import Classifier
from sslkit.randomness import Step
from sslkit.training.spec import Spec
from tests.algorithms import classic, reference
from tests.algorithms.classic import Terms, protected
from tests.algorithms.make import gradient


@dataclass
class Plain:
    """One stage of one method.

    Args:
        student: the network to train, a copy of the engine's.
        averaged: the average's start.
    """

    spec: Spec
    student: Classifier
    averaged: Classifier
    pool: int
    moments: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    learned: list[Any] = field(default_factory=list)  # FlexMatch: (index, classes, confidences) of one step

    def __post_init__(self) -> None:
        self.options = {section: part["options"] for section, part in self.spec.parts.items()}
        self.method = self.spec.parts["algo"]["name"]
        self.curriculum = None
        if self.method == "flexmatch":
            own = self.options["labeler"]
            classes = len(self.spec.data["classes"])
            self.curriculum = reference.Curriculum(self.pool, classes, own["tau"], own["warmup"])
        teacher = self.options.get("teacher", {})
        self.teacher = copy.deepcopy(self.averaged) if "buffers" in teacher else None  # the EMA teacher's options

    # The losses of one micro-batch.

    def terms(self, batch: Batch, step: Step) -> Terms:
        if self.method == "supervised":
            return {"supervised": self.labelled(step.forward("labeled", self.student, batch["labeled"]["weak"]), batch)}
        if self.method == "mean_teacher":
            return self.mean_teacher(batch, step)
        if self.method in classic.METHODS:
            method = classic.METHODS[self.method]
            return method(self.student, self.teacher or self.averaged, self.options, batch, step)
        return self.pseudo_labels(batch, step)

    def labelled(self, output: Any, batch: Batch) -> Tensor:
        y = batch["labeled"].y
        return -torch.stack([output.logits[i].log_softmax(0)[y[i]] for i in range(len(y))]).mean()

    def pseudo_labels(self, batch: Batch, step: Step) -> Terms:
        """FixMatch, FlexMatch and EMA-Teacher."""
        x, u = batch["labeled"], batch["unlabeled"]
        strong = u["strong"]
        if self.options["algo"]["joint"]:
            n, m = len(x.index), len(u.index)
            out = step.forward("student", self.student, torch.cat([x["weak"], u["weak"], strong]))
            weak, out_x = out.logits[n : n + m].detach(), copy.copy(out)
            object.__setattr__(out_x, "logits", out.logits[:n])
            target, weight, _ = self.labels(weak, u.index)
            predicted = out.logits[n + m :]
        else:
            with torch.no_grad():
                weak = step.forward("teacher", self.teacher or self.student, u["weak"]).logits
            out_x = step.forward("labeled", self.student, x["weak"])
            target, weight, confidence = self.labels(weak, u.index)
            if self.spec.parts["mixer"]["name"] == "prob_pseudo":
                strong, target, weight = self.mixed(strong, target, weight, confidence, step)
            predicted = step.forward("student", self.student, strong).logits
        losses = [-weight[i] * (target[i] * predicted[i].log_softmax(0)).sum() for i in range(len(weight))]
        unlabeled = self.options["algo"]["lambda_u"] * torch.stack(losses).sum() / len(u.index)
        return {"supervised": self.labelled(out_x, batch), "unlabeled": unlabeled}

    def labels(self, weak: Tensor, index: Tensor) -> tuple[Tensor, Tensor, list[float]]:
        own = self.options["labeler"]
        guesses = [reference.guess(reference.softmax(row)) for row in weak.tolist()]
        confidence = [o for _, o in guesses]
        limit = self.curriculum.threshold if self.curriculum else lambda y: own["tau"]
        weight = reference.tensor([float(o >= limit(y)) for y, o in guesses])
        target = reference.tensor([reference.smoothed(y, weak.shape[1], own["smoothing"]) for y, _ in guesses])
        self.learned.append((index.tolist(), [y for y, _ in guesses], confidence))
        return target, weight, confidence

    def mixed(
        self, strong: Tensor, target: Tensor, weight: Tensor, o: list[float], step: Step
    ) -> tuple[Tensor, Tensor, Tensor]:
        own, n, cpu = self.options["mixer"], len(strong), torch.device("cpu")
        mix = reference.Mix(strong, target, own["box"])
        partner = step.permutation("mixer.pair", n, cpu).tolist()
        u = step.uniform("mixer.box", 5, n, device=cpu).T.tolist()
        for i, j in enumerate(partner):
            mix.pair(i, j, reference.prob_pseudo_ratio(o[i], o[j]), u[i][4] < own["cutmix"], u[i])
        heavier = reference.tensor([max(weight[i], weight[j]) for i, j in enumerate(partner)])
        return mix.out_images.float(), mix.out_target, heavier

    def mean_teacher(self, batch: Batch, step: Step) -> Terms:
        x, u = batch["labeled"], batch["unlabeled"]
        assert self.teacher is not None
        with torch.no_grad():
            target = protected("teacher", self.teacher.train(), u["weak"], step).softmax(1)
        out_x = step.forward("labeled", self.student, x["weak"])
        p = protected("student", self.student, u["weak2"], step).softmax(1)
        squares = [((p[i] - target[i]) ** 2).sum() / p.shape[1] for i in range(len(p))]
        ramp = min(1.0, step.index / (self.options["algo"]["ramp"] * step.total))
        consistency = self.options["algo"]["weight"] * ramp * torch.stack(squares).mean()
        return {"supervised": self.labelled(out_x, batch), "consistency": consistency}

    # One optimizer step.

    def step(self, index: int, batches: list[Batch]) -> tuple[list[Terms], dict[str, Tensor]]:
        """Terms of every micro-batch, and the gradients before clipping."""
        found = []
        for p in self.student.parameters():
            p.grad = None
        self.learned.clear()
        for k, batch in enumerate(batches):
            terms = self.terms(batch, Step(index, self.spec.training["steps"], self.spec.draws, k))
            (cast("Tensor", sum(terms.values())) / len(batches)).backward()
            found.append({name: term.detach() for name, term in terms.items()})
        gradients = {name: gradient(p).clone() for name, p in self.student.named_parameters()}
        self.adamw(index, gradients)
        networks = [self.averaged] if self.teacher is None else [self.averaged, self.teacher]
        decays = [self.spec.average["decay"], self.options.get("teacher", {}).get("decay")]
        for net, decay in zip(networks, decays, strict=False):
            self.follow(net, self.spec.average["decay"] if decay is None else decay)
        if self.curriculum:
            for learned in self.learned:
                self.curriculum.update(*learned)
        return found, gradients

    @torch.no_grad()
    def adamw(self, index: int, gradients: dict[str, Tensor]) -> None:
        training, t = self.spec.training, index + 1
        norm = math.sqrt(sum((g.double() ** 2).sum().item() for g in gradients.values()))
        shrink = min(1.0, training["clip"] / (norm + 1e-6)) if training["clip"] else 1.0
        rise = round(training["warmup"] * training["steps"])
        done = (index - rise) / max(1, training["steps"] - rise)
        lr = training["lr"] * ((index + 1) / rise if index < rise else (1 + math.cos(math.pi * done)) / 2)
        for name, p in self.student.named_parameters():
            g = gradients[name] * shrink
            m, v = self.moments.get(name, (torch.zeros_like(p), torch.zeros_like(p)))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            self.moments[name] = m, v
            decayed = p.ndim > 1 and not name.endswith(("pos_embed", "cls_token"))
            p.mul_(1 - lr * (training["weight_decay"] if decayed else 0.0))
            p.sub_(lr * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8))

    @torch.no_grad()
    def follow(self, net: nn.Module, decay: float) -> None:
        trained = {name for name, _ in net.named_parameters()}
        theirs = self.student.state_dict()
        for name, mine in net.state_dict().items():
            averaged = name in trained or (mine.is_floating_point() and self.spec.average["buffers"] == "average")
            mine.copy_(decay * mine + (1 - decay) * theirs[name] if averaged else theirs[name])
