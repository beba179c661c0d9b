"""What is measured: predictions on labelled images, and pseudo-labels against hidden truth.

No image is augmented here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from sslkit.augment.render import normalise
from sslkit.contracts import Algorithm, PseudoLabels
from sslkit.data import UNKNOWN
from sslkit.data.on_demand import Pixels, in_turn
from sslkit.errors import out_of_memory
from sslkit.machine import ranks
from sslkit.network import Classifier, Output
from sslkit.training import multilabel
from sslkit.training.spec import Spec

BATCH = 500  # images


def autocast(spec: Spec) -> torch.autocast:
    """The precision of a stage, as a context."""
    return torch.autocast(spec.device, torch.bfloat16, enabled=spec.precision == "bf16")


def uncompiled(spec: Spec) -> AbstractContextManager[object]:
    """What is evaluated is the network itself: its batches have sizes that are not worth compiling for."""
    return torch.compiler.set_stance("force_eager") if spec.training.get("compile") else nullcontext()


def logits(algorithm: Algorithm, network: Classifier, pixels: Pixels, spec: Spec) -> Tensor:
    """(N, C) float32 on the CPU, of uint8 images (N, 3, S, S), without augmentation; as `_forwarded`."""
    width = len(spec.data["classes"])
    return _forwarded(lambda images: algorithm.predict(network, images), width, network, pixels, spec)


def encode(network: Classifier, pixels: Pixels, spec: Spec) -> Output:
    """The network's own logits (N, C) and features (N, D), of images as those of `logits`."""

    def both(images: Tensor) -> Tensor:
        output = network(images)
        return torch.cat([output.logits, output.features], 1)

    classes = len(spec.data["classes"])
    found = _forwarded(both, classes + network.feature_dim, network, pixels, spec)
    return Output(found[:, :classes], found[:, classes:], network.multilabel)


@torch.no_grad()
def _forwarded(
    forward: Callable[[Tensor], Tensor], width: int, network: Classifier, pixels: Pixels, spec: Spec
) -> Tensor:
    """(N, width) float32 on the CPU, what `forward` gives of normalised images, with the network in evaluation mode.

    Several processes share out whole batches, so each has what one process would have. A batch for which memory is not
    enough is halved.
    """
    was_training = network.training
    network.eval()
    mean, std = (torch.tensor(spec.data[name], device=spec.device) for name in ("mean", "std"))
    found = torch.zeros(len(pixels), width)
    mine = [slice(i, i + BATCH) for i in range(BATCH * ranks.rank(), len(pixels), BATCH * ranks.count())]
    with autocast(spec), uncompiled(spec):
        for some, read in zip(mine, in_turn(pixels, mine), strict=True):
            whole = len(read) if spec.training.get("fsdp") else 1  # shards are gathered equally often everywhere
            found[some] = in_halves(
                lambda part: forward(normalise(part.to(spec.device), mean, std)).float().cpu(), read, whole
            )
        if spec.training.get("fsdp"):  # the others cannot go through the network without this one
            blank = torch.zeros(1, 3, spec.data["size"], spec.data["size"], device=spec.device)
            for _ in range(-(-len(pixels) // (BATCH * ranks.count())) - len(mine)):
                forward(blank)
    network.train(was_training)
    return ranks.total(found)


def in_halves(predict: Callable[[Tensor], Tensor], images: Tensor, whole: int = 1) -> Tensor:
    """`predict(images)` (N, …); of more than `whole` images in halves, and so on, where memory is not enough."""
    try:
        return predict(images)
    except (MemoryError, RuntimeError) as error:
        if len(images) <= whole or not out_of_memory(error):
            raise
    middle = len(images) // 2  # out of the handler: what was computed there is free now
    return torch.cat([in_halves(predict, part, whole) for part in (images[:middle], images[middle:])])


def outputs(
    algorithm: Algorithm, network: Classifier, parts: Mapping[str, tuple[Pixels, Tensor]], spec: Spec
) -> dict[str, tuple[Tensor, Tensor]]:
    """Name -> logits (N, C) and labels, of the images and labels of each part."""
    return {name: (logits(algorithm, network, pixels, spec), label) for name, (pixels, label) in parts.items()}


def scores(logits: Tensor, label: Tensor) -> dict[str, float]:
    """top1, top5 (where there are more than five classes), macro_f1, nll and ece, the first three in [0, 1].

    Args:
        logits: (N, C) float32.
        label: (N,) int64; images with label -1 are left out. Classes without an image do not enter macro_f1. Of images
            with several labels (N, C), and what is measured is `multilabel.scores`.

    `ece` is the expected calibration error with 15 equal bins (Guo et al. 2017, arXiv:1706.04599), `nll` the mean
    negative log-likelihood in nats.
    """
    from sklearn.metrics import f1_score  # slow to import

    if label.ndim == 2:
        return multilabel.scores(logits, label)
    known = label >= 0
    logits, label = logits[known].double(), label[known]
    p = logits.softmax(1)
    confidence, guess = p.max(1)
    right = guess == label
    found = {"top1": right.double().mean().item()}
    if logits.shape[1] > 5:
        found["top5"] = (logits.topk(5).indices == label[:, None]).any(1).double().mean().item()
    present = torch.unique(label).numpy()
    found["macro_f1"] = float(f1_score(label.numpy(), guess.numpy(), labels=present, average="macro", zero_division=0))
    found["nll"] = torch.nn.functional.cross_entropy(logits, label).item()
    found["ece"] = calibration_error(confidence, right)
    return found


def primary(scores: Mapping[str, float]) -> str:
    """The name of the score by which networks are compared."""
    return "map" if "map" in scores else "top1"


def validated(logits: Tensor, label: Tensor) -> tuple[str, float]:
    """The name and value of that score on the validation part."""
    found = scores(logits, label)
    return f"val_{primary(found)}", found[primary(found)]


def told_apart(
    algorithm: Algorithm, network: Classifier, known: tuple[Pixels, Tensor], unknown: Pixels | None, spec: Spec
) -> dict[str, float]:
    """`open_scores` of what the algorithm says of known images, which have labels, and of unknown ones; {} without."""
    if unknown is None:
        return {}

    def both(images: Tensor) -> Tensor:
        score, guess = algorithm.open_set(network, images)
        return torch.stack([score.float(), guess.float()], 1)

    found = [_forwarded(both, 2, network, pixels, spec) for pixels in (known[0], unknown)]
    return open_scores(found[0], known[1], found[1], len(spec.data["classes"]))


def open_scores(known: Tensor, label: Tensor, unknown: Tensor, classes: int) -> dict[str, float]:
    """auroc, of unknown images against known ones by the score, and open_top1, balanced over C + 1 classes.

    AUROC is the probability that an unknown image has the higher score of the two, ties counting a half (Hanley and
    McNeil 1982). The other is the mean recall of the classes that have images and of the unknown ones, which are right
    where they are rejected: "open-set accuracy" of Li et al. 2023, IOMatch, arXiv:2308.13168.

    Args:
        known: (N, 2) score and class of images with labels (N,) int64; those with label -1 are left out.
        unknown: (M, 2) the same of images of no known class.
        classes: C, the class of what is rejected.
    """
    from scipy.stats import rankdata  # slow to import

    known, label = known[label >= 0].double(), label[label >= 0]
    unknown = unknown.double()
    n, m = len(known), len(unknown)
    ranks = rankdata(torch.cat([unknown[:, 0], known[:, 0]]).numpy())[:m]  # from 1; equal scores share their mean rank
    right = (known[:, 1] == label).double()
    recalls = [right[label == c].mean() for c in torch.unique(label)]
    recalls.append((unknown[:, 1] == classes).double().mean())
    return {
        "auroc": float((ranks.sum() - m * (m + 1) / 2) / (n * m)),
        "open_top1": torch.stack(recalls).mean().item(),
    }


def calibration_error(confidence: Tensor, right: Tensor, bins: int = 15) -> float:
    """sum over bins of |mean(right) - mean(confidence)|, weighted by the bin's share of the N images."""
    place = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gap = torch.zeros(bins, dtype=torch.float64).index_add_(0, place, right.double() - confidence.double())
    return gap.abs().sum().item() / len(confidence)


def label_quality(labels: PseudoLabels, truth: Tensor) -> Tensor:
    """(8,) float32 on the device: numbers of images, of kept ones, of images of a known class, of these kept ones, of
    these right ones, of images of no known class, of these kept ones; sum of all confidences.

    Args:
        labels: of N unlabelled images, unmixed; an image of weight above 0 is kept.
        truth: (N,) int64, hidden from the algorithm; -1 where nobody knows, `UNKNOWN` where it is none of these. Of
            images with several labels (N, C), and what is counted is as in `multilabel.pair_quality`.
    """
    if truth.ndim == 2:
        return multilabel.pair_quality(labels, truth)
    kept, known, strange = labels.weight > 0, truth >= 0, truth == UNKNOWN
    judged = known & kept
    right = judged & (labels.target.argmax(1) == truth)
    counts = torch.stack([torch.ones_like(kept), kept, known, judged, right, strange, strange & kept]).sum(1)
    return torch.cat([counts.float(), labels.confidence.sum()[None].float()])


def label_scores(
    images: float,
    kept: float,
    known: float,
    judged: float,
    right: float,
    strange: float,
    taken: float,
    confidence: float,
) -> dict[str, float]:
    """coverage, mean confidence; where truth is known precision (of kept labels) and recall (kept and right); where
    there are images of no known class, `unknown`, their share of the kept ones. Arguments as `label_quality` has them.
    """
    found = {"coverage": kept / images, "confidence": confidence / images}
    if known:
        found |= {"precision": right / judged if judged else float("nan"), "recall": right / known}
    if strange:
        found["unknown"] = taken / kept if kept else float("nan")
    return found
