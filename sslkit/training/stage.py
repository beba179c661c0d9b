"""A stage made ready to train: networks, parts and data of a specification, and where it was interrupted.

Of all streams "labeled" alone has labels: those of the pool go to the engine, past the algorithm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslkit import registry
from sslkit.augment.policy import Policy
from sslkit.average import Average
from sslkit.config.resolve import SLOTS
from sslkit.contracts import Algorithm, Setup
from sslkit.data import Images
from sslkit.data.on_demand import Pixels
from sslkit.data.splits import Split
from sslkit.errors import UserError, one_line, out_of_memory
from sslkit.machine.sharding import spread, whole
from sslkit.network import Classifier
from sslkit.randomness import seeded
from sslkit.store import bases, checkpoint
from sslkit.store.checkpoint import under
from sslkit.training.execution import equip
from sslkit.training.loader import Loader, Source, Targets
from sslkit.training.networks import add_heads, part, start_networks
from sslkit.training.spec import Spec


@dataclass
class Job:
    """A stage ready to train."""

    spec: Spec
    algorithm: Algorithm
    average: Average
    loader: Loader
    truth: Tensor | None  # hidden labels of the pool, for the engine alone
    pixels: dict[str, Pixels]  # stream -> (N, 3, S, S) uint8, by index
    evaluation: dict[str, tuple[Pixels, Tensor]]  # "test", "val" -> uint8 images and labels, on the CPU
    unknown: Pixels | None  # test images of no known class, where there are any
    images: Images  # with what other networks predict for them
    split: Split

    def weights(self) -> dict[str, Tensor]:
        """The student, the averaged network, and what else of the algorithm has a state; no tensor twice, none frozen.

        Of several processes with shards all must ask for them, and the leader has the weights.
        """
        return weights_of(self.algorithm, self.average)

    def keep(self, folder: Path) -> dict[str, str]:
        """Store what an adapter froze, for the stage's `folder`; its name, for the description of what is stored."""
        student = self.algorithm.student
        frozen = {n: p for n, p in student.named_parameters() if n in student.frozen}
        return {"frozen": bases.keep(folder, frozen)} if frozen else {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the tensors of `weights` and the frozen ones back."""
        restore(self.algorithm, self.average, tensors)


def weights_of(algorithm: Algorithm, average: Average) -> dict[str, Tensor]:
    """What `Job.weights` gives."""
    parts = {"student.": algorithm.student, "averaged.": average.network}
    stored = [(prefix + n, n, net, t) for prefix, net in parts.items() for n, t in net.state_dict().items()]
    weights = {whole_name: t for whole_name, n, net, t in stored if n not in net.frozen}
    known = {id(t) for net in parts.values() for t in net.state_dict(keep_vars=True).values()}
    own = algorithm.state_dict(keep_vars=True).items()
    return whole(weights | {f"algorithm.{n}": t.detach() for n, t in own if id(t) not in known})


def restore(algorithm: Algorithm, average: Average, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors of `Job.weights` back.

    Raises:
        UserError: they are of another algorithm or network.
    """
    try:
        for network, prefix in ((algorithm.student, "student."), (average.network, "averaged.")):
            network.load_state_dict(spread(network, under(prefix, tensors)))
        own = spread(algorithm, under("algorithm.", tensors))
        extra = algorithm.load_state_dict(own, strict=False).unexpected_keys
    except RuntimeError as error:
        raise UserError(f"the weights do not fit: {one_line(error)}") from None
    if extra:
        raise UserError(f"the weights do not fit: the algorithm has no {extra[0]}")


def checkpoints(folder: Path) -> list[Path]:
    """Those of a stage that is being trained, by step."""
    return sorted(folder.glob("checkpoint-*.safetensors"))


def last_checkpoint(folder: Path, say: Callable[[str], None]) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
    """The last whole checkpoint, if the stage has any.

    Args:
        say: given a sentence about each that is damaged.

    Raises:
        UserError: all are damaged.
    """
    found = checkpoints(folder)
    for path in reversed(found):
        try:
            return path, *bases.load(path)
        except checkpoint.DamagedError as error:
            damaged = error
            say(str(error))
    if found:
        raise UserError(f"{damaged}; remove {folder} to start this stage anew")
    return None


def build(
    spec: Spec, images: Images, split: Split, parent: Path | None, world: int = 1, weights: Path | None = None
) -> Job:
    """Networks, parts and data of a stage.

    Args:
        parent: folder of the stage it starts from.
        world: number of processes that share every step.
        weights: file it starts from instead.

    Raises:
        UserError: a part refuses its options, a batch does not divide, the pool is empty.
    """
    algorithm, average = build_algorithm(spec, parent, weights)
    equip(spec, algorithm, average)
    device, label = torch.device(spec.device), torch.from_numpy(images.targets)
    sources = _sources(spec, images, split, world)
    views = {
        stream: {name: Policy(**policy) for name, policy in policies.items()} for stream, policies in spec.views.items()
    }
    parts = spec.training["accumulate"] * world
    mean, std = (torch.tensor(spec.data[name], device=device) for name in ("mean", "std"))
    class_weights = spec.data.get("class_weights")
    weighed = torch.tensor(class_weights, device=device) if class_weights else None
    smoothing, mixup, cutmix = (spec.training[name] for name in ("smoothing", "mixup", "cutmix"))
    targets = Targets(len(images.classes), smoothing, mixup, cutmix, weighed)
    return Job(
        spec=spec,
        algorithm=algorithm,
        average=average,
        loader=Loader(sources, views, spec.draws, parts, mean, std, targets),
        truth=label[torch.from_numpy(split.pool)].to(device) if "unlabeled" in spec.views else None,
        pixels={stream: source.pixels for stream, source in sources.items()},
        evaluation={
            name: (images.subset(i), label[i]) for name, i in (("test", split.test), ("val", split.val)) if len(i)
        },
        unknown=images.subset(split.unknown) if len(split.unknown) else None,
        images=images,
        split=split,
    )


def _sources(spec: Spec, images: Images, split: Split, world: int) -> dict[str, Source]:
    """Stream -> its images, of which "labeled" and "balanced" alone have labels.

    Raises:
        UserError: a batch does not divide, the pool is empty.
    """
    device, parts = torch.device(spec.device), spec.training["accumulate"] * world
    indices = {"labeled": split.labeled, "unlabeled": split.pool, "all": np.union1d(split.labeled, split.pool)}
    indices["balanced"] = split.labeled
    sources = {}
    for stream in spec.views:
        index = indices[stream]
        batch = spec.training["batch"] * (spec.training["mu"] if stream == "unlabeled" else 1)
        if batch % parts:
            raise UserError(
                f"{batch} {stream} images a step do not divide into {parts} micro-batches; "
                f"change {spec.stage}.batch{' or' if world == 1 else ','} {spec.stage}.accumulate"
                f"{'' if world == 1 else ' or the number of processes'}"
            )
        if not len(index):
            raise UserError("no image is left for the unlabelled pool; use --pool all or fewer labels")
        pixels, label = _placed(images.subset(index), device), torch.from_numpy(images.targets[index])
        sources[stream] = Source(pixels, torch.from_numpy(index), None, batch)
        if stream in ("labeled", "balanced"):
            even = stream == "balanced" or spec.data.get("sampling") == "classes"
            shown = sorted(set(label.tolist())) if even else ()
            evenly = [(label == c).nonzero().flatten() for c in shown]
            sources[stream] = replace(sources[stream], label=label.to(device), evenly=evenly)
    return sources


def _placed(pixels: Pixels, device: torch.device) -> Pixels:
    """On the device, unless that is a GPU without room for them: a quarter of what is free."""
    if not isinstance(pixels, Tensor):
        return pixels
    crowded = device.type == "cuda" and pixels.nbytes > torch.cuda.mem_get_info(device)[0] / 4
    return pixels if crowded else pixels.to(device)


@contextmanager
def feasible(spec: Spec) -> Iterator[None]:
    """Answer a batch that is too large for the memory, or too small for BatchNorm, with the settings that mend it.

    Raises:
        UserError: memory was not enough within the block, or a BatchNorm had one value a channel.
    """
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            f"stage {spec.stage!r}: at {spec.data['size']} px a BatchNorm of {spec.parts['backbone']['name']} has "
            f"one value a channel, which has no variance: a micro-batch has one image. Lower {spec.stage}.accumulate, "
            f"raise {spec.stage}.batch or --size, or set {spec.stage}.norm_stats=frozen"
        ) from None
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        batch, mu = spec.training["batch"], spec.training.get("mu", 0) if "unlabeled" in spec.views else 0
        sizes = f"{batch} labelled" + (f" and {batch * mu} unlabelled" if mu else "")
        raise UserError(
            f"stage {spec.stage!r} needs more memory than {spec.device} has, with {sizes} images of "
            f"{spec.data['size']} px a step in {spec.training['accumulate']} micro-batches; raise "
            f"{spec.stage}.accumulate, or lower {spec.stage}.batch{' or semi.mu' if mu else ''}, or lower --size"
        ) from None


def not_finite(spec: Spec, error: Exception, kept: Sequence[Path]) -> UserError:
    """The error for a loss that is not finite, with what can be done.

    Args:
        kept: the stage's checkpoints.
    """
    good = f"the last good checkpoint is {kept[-1]}" if kept else "no checkpoint was written before"
    return UserError(
        f"stage {spec.stage!r}: {error}; {good}. Try a lower {spec.stage}.lr, "
        f"--set {spec.stage}.clip=1.0, or --precision fp32"
    )


def build_algorithm(spec: Spec, parent: Path | None, weights: Path | None = None) -> tuple[Algorithm, Average]:
    """The algorithm with its student and slots, and the averaged network, as they start."""
    student, averaged = start_networks(spec, parent, weights)
    if "algo" in spec.parts:
        seeded("heads", spec.seed)
        cls = registry.load("algorithm", spec.parts["algo"]["name"])
        if spec.training.get("fsdp") and cls.heads(1, 1):
            raise UserError(f"--fsdp does not shard the heads that {spec.parts['algo']['name']} adds; train without it")
        add_heads(cls, len(spec.data["classes"]), *{id(network): network for network in (student, averaged)}.values())
    counts = torch.tensor(spec.data["counts"])
    setup = Setup(
        student=student,
        averaged=averaged,
        classes=len(spec.data["classes"]),
        labeled=int(counts.sum()),
        unlabeled=spec.data.get("pool", [0])[0],
        class_counts=counts,
        steps=spec.training["steps"],
        decay=spec.average["decay"],
        buffers=spec.average["buffers"],
        skip_rejected=_skips(spec, student),
    )
    slots = {slot: part(spec, slot, setup) for slot in SLOTS if slot in spec.parts}
    algorithm = part(spec, "algo" if "algo" in spec.parts else "pretrainer", setup, **slots)
    average = next((m for m in algorithm.modules() if _same_average(m, spec)), None)
    average = average or Average(averaged, spec.average["decay"], spec.average["buffers"])
    return algorithm.to(spec.device), average.to(spec.device)


def _same_average(module: nn.Module, spec: Spec) -> bool:
    same = isinstance(module, Average) and module.decay == spec.average["decay"]
    return same and module.buffer_rule == spec.average["buffers"]


def _skips(spec: Spec, student: Classifier) -> bool:
    """Whether rejected strong views skip the student: where no draw or statistic depends on the batch's places."""
    frozen = student.frozen_statistics
    asked = spec.training.get("skip_rejected", "off")
    if spec.training.get("compile"):
        if asked == "on":
            raise UserError("semi.skip_rejected=on gives batches of any size, each compiled anew; leave it at auto")
        return False
    coupled = any(
        (isinstance(m, _BatchNorm) and not frozen) or getattr(m, "drop_prob", 0) or (isinstance(m, nn.Dropout) and m.p)
        for m in student.modules()
    )
    return asked == "on" or (asked == "auto" and spec.device == "cpu" and not coupled)
