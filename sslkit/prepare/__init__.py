"""From a request to a configuration with its data: read, decoded and split."""

from __future__ import annotations

import functools
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sslkit import registry
from sslkit.config import Config, Data, Flat
from sslkit.config.data import NO_TEST
from sslkit.config.resolve import argument, named, pretraining, resolve
from sslkit.config.starting import unmixed
from sslkit.config.values import coerce
from sslkit.data import Images, decoding, is_own, normalizing
from sslkit.data.checking import bad_images
from sslkit.data.held_out import numbered
from sslkit.data.image import Array, BadImageError
from sslkit.data.open_set import opened
from sslkit.data.parts import Parts, arrange, contradicted, unlabelled, without_equal
from sslkit.data.splits import Split, all_in_pool, check_lists, left_out, split
from sslkit.data.summary import about
from sslkit.errors import UserError
from sslkit.machine import memory
from sslkit.plugins import check_plugins
from sslkit.prepare.classes import settled
from sslkit.prepare.dataset import dataset_of, place_of, read_parts
from sslkit.prepare.durations import in_steps
from sslkit.prepare.guides import guided
from sslkit.prepare.levels import Told, levels_of, told_by, toned
from sslkit.prepare.starting import SMALL_SIZE, choose_start, network_for, side_of
from sslkit.prepare.twins import in_both
from sslkit.store import drives
from sslkit.weights.origin import Origin

LARGE = {"views.weak": "semi_vit_weak", "views.strong": "semi_vit_strong"}
LARGE |= {"views.medium": "semi_vit_strong", "views.medium.randaugment": "rand-m9-mstd0.5-n1-inc1"}  # one operation
TUNING_SEED = 100  # the first one
BAD_IMAGE = typing.get_type_hints(Data)["on_bad_image"]

Look = Callable[[Parts, str, Path | None], Parts]
T = TypeVar("T")
_kept: ContextVar[dict[str, tuple[object, Any]] | None] = ContextVar("kept", default=None)


@contextmanager
def read_once() -> Iterator[None]:
    """Within, what was read last is not read again: a comparison asks for the same images many times."""
    kept = _kept.get()
    token = _kept.set({} if kept is None else kept)
    try:
        yield
    finally:
        _kept.reset(token)


def _once(what: str, key: object, make: Callable[[], T]) -> T:
    """What `make` gives; within `read_once` what it gave for the last key, if this is the same."""
    kept = _kept.get()
    if kept is None:
        return make()
    if what not in kept or kept[what][0] != key:
        kept.pop(what, None)  # before the next one takes its memory
        kept[what] = key, make()
    found: T = kept[what][1]
    return found


def skip_bad(parts: Parts, rule: str, cache: Path | None) -> Parts:
    """With "skip" without the images that cannot be read, which are listed; "stop" leaves it to the decoding."""
    if rule != "skip":
        return parts
    return parts.without_bad(*(bad_images(raw, p, cache) for raw, p in ((parts.train, "train"), (parts.test, "test"))))


@dataclass(frozen=True)
class Prepared:
    """A request, resolved: the configuration, its data, and what it was decided from."""

    config: Config
    images: Images
    split: Split
    remarks: list[str]
    stored: Mapping[str, Any] = field(default_factory=dict)  # what was found out about the data, kept with the run
    source: Prepared | None = None  # the same of the stage `pretrain`, where it has labelled images of its own
    gathered: Gathered | None = None  # what it was decoded and split from

    def of(self, stage: str) -> Prepared:
        """What the stage with this label is trained on."""
        return self.source if self.source and stage == "pretrain" else self


@dataclass(frozen=True)
class Gathered:
    """A request, resolved, and its data before they are decoded."""

    config: Config
    parts: Parts
    groups: Array | None  # (N,) int64 of training images, where data has groups
    val: Array  # () int64, which training images are a validation part of the data's own
    start: Origin  # of the weights that the first stage starts from; without a name where there are none


def prepare(request: Mapping[str, Any], cache: Path | None = None, told: Told | None = None) -> Prepared:
    """Resolve a request, read its data set, decode it and split it.

    Args:
        cache: folder where decoded images are kept for the next time.
        told: as for `gather`.

    Raises:
        UserError: anything in the request that cannot be.
    """
    try:
        found = gather(request, cache, told=told)
        data, parts = found.config.data, found.parts
        assert data.size is not None, "gathered"
        places = places_of(found)  # what cannot be is said before an hour of decoding
        decode = functools.partial(
            decoding.decode,
            parts.classes,
            parts.train,
            parts.test,
            data.size,
            cache,
            crop=data.crop,
            interpolation=data.interpolation,
            limit=1e9 * data.cache_gb if data.cache_gb is not None else memory() / 2,
            whole=data.whole,
            workers=data.workers,
        )
        images = _once("images", (data, cache), decode)
    except BadImageError as error:
        raise UserError(f"{error}; --on-bad-image skip goes on without such images") from None
    tells = (is_own(data.name) or data.stats != "declared") and found.start.stats != data.stats
    remarks = [*parts.remarks, normalizing.said(found.config, images)] if tells else parts.remarks
    twice = _once("pixels", (data, cache), lambda: in_both(images, parts) if is_own(data.name) else [])
    images, about_classes = settled(images, places, found.config)
    remarks = [*remarks, *about_classes, *twice, *drives.said()]
    stored = parts.stored | ({"weights": asdict(found.start)} if found.start.name else {})
    images, unused = guided(found.config, images, places, parts, lambda run: gather(run, cache).parts)
    made = Prepared(in_steps(found.config, places), images, places, [*remarks, *unused], stored, gathered=found)
    return _with_source(made, cache) if found.config.pretrain.data else made


def of_seeds(request: Mapping[str, Any], seeds: Iterable[int], cache: Path | None = None) -> Iterator[Prepared]:
    """What `prepare` gives for a request with each of the seeds; the data are gathered once, remarks are the first's.

    Raises:
        UserError: as `prepare`.
    """
    first: Prepared | None = None
    for seed in seeds:
        # what other networks have seen is compared with each split
        if first is None or first.gathered is None or first.source is not None or first.images.given:
            first = prepare({**request, "seed": seed}, cache)
            yield first
            continue
        found = replace(first.gathered, config=replace(first.gathered.config, seed=seed))
        what = found.config.data, seed, _bare(found.config), first.images.fingerprint
        places = _once("places", what, functools.partial(places_of, found))
        yield replace(first, config=in_steps(found.config, places), split=places, gathered=found)


def places_of(found: Gathered) -> Split:
    """The split of what was gathered: no image is decoded for it.

    Raises:
        UserError: what `split` raises.
    """
    train, test = found.parts.train, found.parts.test
    label = np.concatenate([train.label, test.label]).astype(np.int64)
    names = found.parts.names if found.config.data.pool.startswith("without:") else []
    images = Images(np.empty((len(label), 3, 0, 0), np.uint8), label, len(train.images), found.parts.classes, "", names)
    if _bare(found.config) and unlabelled(images.classes, found.parts.train.learned):
        return all_in_pool(images, found.config.seed, found.val)
    return split(images, found.config.data, found.config.seed, found.groups, found.val)


def _with_source(made: Prepared, cache: Path | None) -> Prepared:
    """With the labelled data set of the stage `pretrain`: all its labels, the same size, the view of pre-training.

    Raises:
        UserError: it cannot be read, or is the data set of the run, whose labels would then be known.
    """
    config, own = made.config, made.config.pretrain
    if config.time is not None:
        raise UserError("--time knows no stage with data of its own; set the steps instead, or drop pretrain.data")
    names = ("size", "crop", "interpolation", "whole", "cache_gb", "workers", *(["stats"] * ("/" in config.data.stats)))
    kept = {f"data.{name}": getattr(config.data, name) for name in names}
    asked = {"data.name": own.data, "data.dir": own.dir, "data.labels": "all", "backbone.name": config.backbone.name}
    asked |= {"stages": "finetune", "weights": "none"}
    theirs = prepare(asked | {k: v for k, v in kept.items() if v is not None}, cache, told_by(config.data, made.images))
    if theirs.images.fingerprint == made.images.fingerprint:
        raise UserError(f"pretrain.data={own.data} is the data set of the run itself: its labels would all be known")
    policy = config.views.pretrain
    mirrored = policy.flip and getattr(registry.load("dataset", own.data), "flip", True)
    views = replace(config.views, weak=replace(policy, flip=mirrored), labeled="weak")
    places = replace(theirs.split, pool=theirs.split.pool[:0])
    source = in_steps(replace(config, data=theirs.config.data, views=views), places)
    config = replace(config, pretrain=source.pretrain)
    return replace(made, config=config, source=replace(theirs, config=source, split=places))


def gather(
    request: Mapping[str, Any], cache: Path | None = None, look: Look = skip_bad, told: Told | None = None
) -> Gathered:
    """Resolve a request and read its data set: classes, parts, labels, and which images are left out.

    Args:
        cache: folder for what is found out about files.
        look: gets what was read before anything else is done with it, the rule `data.on_bad_image`, and the cache.
        told: how levels are read where the request does not say it, and whose they were; None: as for the weights.

    Raises:
        UserError: anything in the request that cannot be.
    """
    flat = asked(request)
    name = str(flat.get("data.name", "digits"))
    cls = dataset_of(flat)
    place = argument("dataset", name, cls) | place_of(flat, name, cls)
    rule = coerce("data.on_bad_image", flat.get("data.on_bad_image", "stop"), BAD_IMAGE)
    levels = levels_of(flat, told)
    read = (cls, place, rule, look, cache, levels)
    parts = _once("parts", read, lambda: look(toned(read_parts(cls, place, cache), levels, cache), rule, cache))
    flat |= levels.taken(parts.train.tone)
    side = functools.partial(_once, "side", read, lambda: decoding.median_size(parts.train, cache))
    # Of one's own images those without a label are the pool.
    beneath = {"data.labels": "all"} if is_own(name) and (parts.train.label < 0).any() else {}
    config, start, chosen = resolved(flat, cls, side, beneath)
    said = parts.said(*chosen)
    bare = _bare(config)
    parts = _once(
        "arranged", (config.data, cache, chosen, look, bare), lambda: _arranged(said, config.data, cache, bare)
    )
    groups = numbered(parts.train.groups)[0] if len(parts.train.groups) else None
    return Gathered(config, parts, groups, np.flatnonzero(parts.train.val), start)


def _bare(config: Config) -> bool:
    """Whether no stage needs a label: masked pre-training alone."""
    return config.stages == "pretrain" and config.pretrainer is not None


def asked(request: Mapping[str, Any]) -> Flat:
    """A request by key, with what `pretrain` stands for, the seed of `data.tune`, and its plug-ins checked."""
    flat = pretraining(named(request))
    if flat.get("data.tune") and flat.setdefault("seed", TUNING_SEED) < TUNING_SEED:
        raise UserError(f"--tune is for seeds from {TUNING_SEED} upward, so that no reported seed is tuned on")
    check_plugins({k.removeprefix("plugins."): flat.pop(k) for k in list(flat) if k.startswith("plugins.")})
    return flat


def resolved(
    flat: Flat, cls: type[Any], side: Callable[[], int], beneath: Mapping[str, Any]
) -> tuple[Config, Origin, list[str]]:
    """The configuration, the origin of the weights that it starts from, and sentences on what was chosen.

    Args:
        flat: what `asked` gives; `cls` is of the data set.
        side: gives the median of the shorter sides of its images, in pixels; asked where `data.size` is auto.
        beneath: defaults before those of the algorithm, the backbone and the data set.

    Raises:
        UserError: anything in the request that cannot be.
    """
    flat, start, chosen = choose_start(flat, side)
    size = side_of(flat, side)
    views = LARGE if size > SMALL_SIZE and not start.name else {}  # a short run from weights: milder views
    config = resolve(flat, cls, lambda: network_for(size, chosen), {**views, **beneath})
    config = replace(config, data=replace(config.data, size=size))
    if (why := unmixed(flat)) and config.mixer and "mixer.name" not in flat:
        chosen.append(f"mixer {config.mixer.name}, chosen for {why}; --mixer names another")
    return config, start, chosen


def _arranged(parts: Parts, data: Data, cache: Path | None, bare: bool) -> Parts:
    """With labels, test part and groups as asked for, checked before the images are decoded, which can take an hour."""
    parts = arrange(parts, data, bare=bare)
    check_lists(data, parts.train.label)
    left_out(data, lambda: parts.train.all_names("train"))
    parts = without_equal(parts, data, cache)
    parts = contradicted(parts, cache) if is_own(data.name) else parts
    parts = opened(parts, data)
    return parts.said(*about(parts, is_own(data.name), data.test != NO_TEST, data.multilabel))
