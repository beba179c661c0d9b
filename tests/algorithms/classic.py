"""The losses of the classic methods written out from the papers' equations, one image at a time, for any network.

It shares with the methods nothing but the networks, the batch and the draws of `Step`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sslkit.contracts import Batch, Stream
from sslkit.network import Classifier
from sslkit.randomness import Step
from tests.algorithms import reference

Options = Mapping[str, Mapping[str, Any]]  # section -> options of the part
Terms = dict[str, Tensor]
CPU = torch.device("cpu")


def protected(name: str, net: Classifier, images: Tensor, step: Step) -> Tensor:
    """Logits in train mode; BatchNorm's statistics are put back afterwards."""
    before = {key: buffer.clone() for key, buffer in net.named_buffers()}
    logits = step.forward(name, net, images).logits
    for key, buffer in net.named_buffers():
        buffer.data.copy_(before[key])  # `data`: the backward does not need it
    return logits


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def entropy_of(target: Tensor, logits: Tensor) -> Tensor:
    """H(target, softmax(logits)) of one image."""
    return -(target * (logits - logits.logsumexp(0))).sum()


def labelled(net: Classifier, x: Stream, step: Step) -> Tensor:
    assert x.label is not None
    logits = step.forward("labeled", net, x["weak"]).logits
    return mean([logits[i].logsumexp(0) - logits[i][y] for i, y in enumerate(x.label.tolist())])


def ramp(own: Mapping[str, Any], step: Step) -> float:
    """Weight after a linear rise over a share of the steps."""
    weight: float = own["lambda_u"] if "lambda_u" in own else own["weight"]
    return weight * min(1.0, step.index / (own["ramp"] * step.total))


def pseudo_label(student: Classifier, teacher: Classifier, options: Options, batch: Batch, step: Step) -> Terms:
    supervised = labelled(student, batch["labeled"], step)
    logits = protected("student", student, batch["unlabeled"]["weak"], step)
    losses = []
    for z in logits:
        y, confidence = reference.guess(reference.softmax(z.tolist()))
        losses.append(z.logsumexp(0) - z[y] if confidence >= options["labeler"]["tau"] else 0 * z[0])
    return {"supervised": supervised, "unlabeled": ramp(options["algo"], step) * mean(losses)}


def pi_model(student: Classifier, teacher: Classifier, options: Options, batch: Batch, step: Step) -> Terms:
    u, supervised = batch["unlabeled"], labelled(student, batch["labeled"], step)
    target = protected("target", student, u["weak"], step).detach().softmax(1)
    p = protected("student", student, u["weak2"], step).softmax(1)
    consistency = mean([((a - b) ** 2).mean() for a, b in zip(p, target, strict=True)])
    return {"supervised": supervised, "consistency": ramp(options["algo"], step) * consistency}


def vat(student: Classifier, teacher: Classifier, options: Options, batch: Batch, step: Step) -> Terms:
    own, images = options["algo"], batch["unlabeled"]["weak"]
    supervised = labelled(student, batch["labeled"], step)
    logits = protected("student", student, images, step)
    p = logits.detach().softmax(1)
    u = step.uniform("vat.direction", 2, *images.shape, device=CPU).double()
    d = torch.sqrt(-2 * torch.log(1 - u[0])) * torch.cos(2 * math.pi * u[1])
    r = torch.stack([own["xi"] * one / one.norm() for one in d]).to(images.dtype).requires_grad_()
    other = copy.deepcopy(student)
    moved = protected("student", other, images + r, step)
    mean([entropy_of(*pair) - entropy_of(pair[0], pair[0].log()) for pair in zip(p, moved, strict=True)]).backward()
    assert r.grad is not None
    r = torch.stack([own["eps"] * one / one.norm() for one in r.grad.double()]).to(images.dtype)
    moved = protected("student", student, images + r, step)
    divergences = [entropy_of(*pair) - entropy_of(pair[0], pair[0].log()) for pair in zip(p, moved, strict=True)]
    entropy = mean([entropy_of(z.softmax(0), z) for z in logits])
    return {
        "supervised": supervised,
        "adversarial": ramp(own, step) * mean(divergences),
        "entropy": own["entropy"] * entropy,
    }


def mixed(images: Tensor, target: Tensor, options: Options, step: Step) -> tuple[Tensor, Tensor]:
    """Mixup as the paper of MixMatch has it, eq. 8 to 11: each image with a partner, whose share is the smaller."""
    partner = step.permutation("mixer.pair", len(images), CPU).tolist()
    drawn = step.beta("mixer.mixup", options["mixer"]["alpha"], len(images), device=CPU).tolist()
    mix = reference.Mix(images, target)
    for i, j in enumerate(partner):
        mix.pair(i, j, max(drawn[i], 1 - drawn[i]), False, [])
    return mix.out_images.to(images.dtype), mix.out_target


def ict(student: Classifier, teacher: Classifier, options: Options, batch: Batch, step: Step) -> Terms:
    images = batch["unlabeled"]["weak"]
    with torch.no_grad():
        target = protected("teacher", teacher.train(), images, step).softmax(1)
    images, target = mixed(images, target, options, step)
    supervised = labelled(student, batch["labeled"], step)
    p = protected("student", student, images, step).softmax(1)
    consistency = mean([((a - b) ** 2).mean() for a, b in zip(p, target, strict=True)])
    return {"supervised": supervised, "consistency": ramp(options["algo"], step) * consistency}


def mixmatch(student: Classifier, teacher: Classifier, options: Options, batch: Batch, step: Step) -> Terms:
    own, x, u = options["algo"], batch["labeled"], batch["unlabeled"]
    assert x.label is not None
    with torch.no_grad():
        views = [protected(f"guess.{view}", student, u[view], step).softmax(1) for view in ("weak", "weak2")]
    guesses = []
    for one, other in zip(*views, strict=True):
        powers = ((one + other) / 2) ** (1 / own["temperature"])
        guesses.append(powers / powers.sum())
    hard = [torch.eye(len(guesses[0]))[y].double() for y in x.label.tolist()]
    images = torch.cat([x["weak"], u["weak"], u["weak2"]])
    images, target = mixed(images, torch.stack([*hard, *guesses, *guesses]), options, step)
    logits, b = step.forward("student", student, images).logits, len(hard)
    supervised = mean([entropy_of(target[i], logits[i]) for i in range(b)])
    p = logits.softmax(1)
    consistency = mean([((p[i] - target[i]) ** 2).mean() for i in range(b, len(p))])
    return {"supervised": supervised, "consistency": ramp(own, step) * consistency}


METHODS: dict[str, Callable[[Classifier, Classifier, Options, Batch, Step], Terms]] = {
    "pseudo_label": pseudo_label,
    "pi_model": pi_model,
    "vat": vat,
    "ict": ict,
    "mixmatch": mixmatch,
}
