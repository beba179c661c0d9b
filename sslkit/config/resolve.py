"""From what was asked to a resolved configuration: layers, names, types.

Command line beats file beats the defaults of data set, adapter, backbone, algorithm and kernel, in this order.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import tomli_w

from sslkit import registry
from sslkit.augment.policy import POLICIES
from sslkit.config import PARTS, Config, Flat, Part, Views, flatten, multilabel
from sslkit.config.class_weights import joined
from sslkit.config.starting import MIXER, NOTHING, from_weights, starts_with_probe, unmixed
from sslkit.config.values import coerce
from sslkit.errors import UserError, unknown

POLICY_FIELDS = [f.name for f in fields(Views) if f.name != "labeled"]
VIEWS = tuple(f"views.{name}" for name in POLICY_FIELDS)
SLOTS = ("teacher", "labeler", "mixer")


def parse_set(text: str) -> tuple[str, Any]:
    """`semi.lr=1e-3` -> ("semi.lr", 0.001): the value is read as TOML where it can be, else as text."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"--set wants KEY=VALUE, as in --set semi.lr=1e-3, got {text!r}")
    try:
        return key.strip(), tomllib.loads(f"x = {value}")["x"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def read_toml(path: str | os.PathLike[str]) -> Flat:
    """A configuration file as key -> value.

    Raises:
        UserError: it cannot be read, or is no TOML.
    """
    try:
        nested = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read configuration {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a TOML file: {error}") from None
    return named(_flat(nested))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Flat:
    flat: Flat = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def to_toml(config: Config | Flat) -> str:
    """The configuration as the TOML text that repeats it."""
    nested: dict[str, Any] = {}
    for key, value in (config if isinstance(config, dict) else flatten(config)).items():
        *path, name = key.split(".")
        at = nested
        for part in path:
            at = at.setdefault(part, {})
        at[name] = "auto" if value is None else value
    return tomli_w.dumps(nested)


def named(request: Mapping[str, Any]) -> Flat:
    """A part or data set given by its section alone means its name: `algo="fixmatch"`; a view's policy likewise."""
    sections = {*PARTS, "data"}
    request = joined(request)
    request = _policies(request) | {k: v for k, v in request.items() if k not in VIEWS}
    flat = {f"{k}.name" if k in sections else k: v for k, v in request.items() if v is not None}
    for key in (f"{section}.name" for section in sections):
        if not isinstance(flat.get(key, ""), str):
            raise UserError(f"{key} must be a name, got {flat[key]!r}")
    return flat


def pretraining(request: Flat) -> Flat:
    """What the key `pretrain` stands for: the stage, by masked patches (`mae`) or by labels (`supervised:DATA`)."""
    flat = dict(request)
    asked = flat.pop("pretrain", None)
    if asked is None:
        return flat
    stages = str(flat.get("stages", Config.stages))
    flat["stages"] = stages if "pretrain" in stages else f"pretrain,{stages}"
    kind, _, data = str(asked).partition(":")
    if kind != "supervised":
        return flat | {"pretrainer.name": str(asked), "pretrain.data": ""}
    if not data:
        raise UserError("--pretrain supervised needs a labelled data set: supervised:DATA, as supervised:folder:photos")
    return flat | {"pretrain.data": data}


def _policies(request: Mapping[str, Any]) -> Flat:
    """The fields of policies that are given by name: `views.strong="usb"`."""
    flat: Flat = {}
    for key in VIEWS:
        name = request.get(key)
        if name is not None:
            if name not in POLICIES:
                raise unknown("policy of " + key, str(name), POLICIES)
            flat |= flatten(POLICIES[name], f"{key}.")
    return {key: "auto" if value is None else value for key, value in flat.items()}


def resolve(
    request: Flat, dataset: type, choose_backbone: Callable[[], str], beneath: Mapping[str, Any] = {}
) -> Config:
    """The full configuration for a request.

    Args:
        request: what the file and the command line say, by key.
        dataset: class of the data set.
        choose_backbone: gives the name when the request says `auto` or nothing.
        beneath: defaults before those of the algorithm, the backbone and the data set.

    Raises:
        UserError: unknown names and keys, wrong values, a slot that the algorithm lacks.
    """
    names: dict[str, str] = {"algo": request.get("algo.name", "ema_teacher")}
    parts: dict[str, type | None] = {"algo": registry.load("algorithm", names["algo"])}
    names["backbone"] = request.get("backbone.name", "auto")
    if names["backbone"] == "auto":
        names["backbone"] = choose_backbone()
    parts["backbone"] = registry.load("backbone", names["backbone"])
    probes = starts_with_probe(request)
    slots: dict[str, str] = dict(getattr(parts["algo"], "slots", {}))
    slots |= {"mixer": MIXER} if unmixed(request) and "mixer" in slots else {}
    for slot in SLOTS:
        asked = [key for key in request if key.partition(".")[0] == slot]
        if slot not in slots and asked:
            has, drop = ", ".join(slots) or "none", f"--{slot}" if f"{slot}.name" in asked else asked[0]
            raise UserError(f"algorithm {names['algo']!r} has no {slot} (its slots: {has}); drop {drop}")
        names[slot] = request.get(f"{slot}.name", slots.get(slot, ""))
        parts[slot] = registry.load(slot, names[slot]) if slot in slots else None
    names["pretrainer"] = request.get("pretrainer.name", "mae")
    pretrains, labelled = "pretrain" in str(request.get("stages", "")), bool(request.get("pretrain.data"))
    asked = [key for key in request if key.startswith("pretrainer.")]
    if not pretrains and (asked or labelled):
        key = asked[0] if asked else "pretrain.data"
        raise UserError(f"{key} is for the stage pretrain; add --stages pretrain,finetune,semi")
    masks = pretrains and not labelled
    if not masks and asked:
        raise UserError(f"{asked[0]} is for masked pre-training, and pretrain.data asks for labels; drop one")
    parts["pretrainer"] = registry.load("pretrainer", names["pretrainer"]) if masks else None
    names["adapt"] = request.get("adapt.name", "full")
    parts["adapt"] = None if names["adapt"] == "full" else registry.load("adapter", names["adapt"])
    asked = [key for key in request if key.startswith("adapt.") and key != "adapt.name"]
    if asked and not parts["adapt"]:
        raise UserError(f"{asked[0]} is of an adapter, and all weights train; add --adapt lora, or drop it")
    for section, cls in parts.items():
        if cls is not None:
            argument(PARTS[section], names[section], cls)
    given = request.get("weights") not in NOTHING
    own = [getattr(parts["algo"], "defaults", {}), getattr(parts["backbone"], "defaults", {})]
    own += [getattr(parts["backbone"], "trained_defaults", {})] if pretrains or given else []
    own += [getattr(parts["adapt"], "defaults", {}), getattr(dataset, "defaults", {})]
    own += [from_weights(own[0])] if probes else []
    flat: Flat = named(beneath)
    for keys in own:
        flat |= {k: v for k, v in named(keys).items() if _applies(k, parts)}
    flat |= request | {f"{section}.name": name for section, name in names.items() if parts[section]}
    config = build(flat, parts)
    multilabel.check(config, parts)
    return replace(config, views=_mirrored(config, getattr(dataset, "flip", True)))


def _mirrored(config: Config, allowed: bool) -> Views:
    """The views, mirrored where the data set allows it and nothing else was asked for."""
    views = {name: getattr(config.views, name) for name in POLICY_FIELDS}
    if not allowed and any(policy.flip for policy in views.values()):
        raise UserError(f"data set {config.data.name!r} must not be mirrored; leave views.*.flip at auto")
    flips = {name: allowed if policy.flip is None else policy.flip for name, policy in views.items()}
    if views["medium"].flip is None:
        flips["medium"] = flips["strong"]  # who forbids it for the views that all methods have means this one, too
    return replace(config.views, **{name: replace(policy, flip=flips[name]) for name, policy in views.items()})


def _applies(key: str, parts: Mapping[str, type | None]) -> bool:
    section, _, name = key.partition(".")
    if section not in parts:
        return True
    part = parts[section]
    return part is not None and name in options(part)


def argument(kind: str, name: str, cls: type) -> dict[str, str]:
    """What follows the colon in `name`, as the keyword parameter that the part calls its `argument`.

    Raises:
        UserError: it is missing, or not wanted.
    """
    keyword: str | None = getattr(cls, "argument", None)
    part, colon, given = name.partition(":")
    if keyword and not given:
        raise UserError(f"{kind} {part!r} needs a {keyword}: {part}:{keyword.upper()}")
    if colon and not keyword:
        raise UserError(f"{kind} {part!r} takes nothing after a colon, got {name!r}")
    return {keyword: given} if keyword else {}


def options(part: type) -> dict[str, inspect.Parameter]:
    """Name -> parameter of a part's options, each `annotation` resolved to a type.

    Where `__init__` takes `**others`, which it passes on, those of the class above come first.
    """
    slots: Mapping[str, str] = getattr(part, "slots", {})
    found: dict[str, inspect.Parameter] = {}
    for cls in part.__mro__:
        if "__init__" not in vars(cls):
            continue
        init = vars(cls)["__init__"]
        hints, parameters = typing.get_type_hints(init), inspect.signature(init).parameters.values()
        own = {p.name: p.replace(annotation=hints.get(p.name, Any)) for p in parameters if p.kind is p.KEYWORD_ONLY}
        found = own | found  # a class below may have another default
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return {name: p for name, p in found.items() if name not in slots}


def build(flat: Flat, parts: Mapping[str, type | None]) -> Config:
    """The configuration of key -> value; what is not named keeps its default.

    Args:
        parts: section -> class of every part in use, None where the algorithm lacks the slot.

    Raises:
        UserError: an unknown key (with suggestions), a value of another type, a value out of range.
    """
    made: dict[str, Part | None] = {}
    rest = dict(flat)
    for section, cls in parts.items():
        own = {k.partition(".")[2]: rest.pop(k) for k in list(rest) if k.partition(".")[0] == section}
        made[section] = None if cls is None else _build_part(section, cls, own)
    config: Config = _build(Config, rest, "", made)
    return config


def _build_part(section: str, cls: type, values: Flat) -> Part:
    known = options(cls)
    name = values.pop("name")
    argument = getattr(cls, "argument", None)
    chosen: Flat = {}
    for key, value in values.items():
        if key not in known or key == argument:
            raise unknown(f"key of {section} {name!r}:", f"{section}.{key}", [f"{section}.{k}" for k in known])
        chosen[key] = coerce(f"{section}.{key}", value, known[key].annotation)
    defaults = {key: p.default for key, p in known.items() if key != argument}
    for key, default in (defaults | chosen).items():
        if default is inspect.Parameter.empty:
            if key in SLOTS:
                raise UserError(
                    f"{section} {name!r} takes a {key}, and its `slots` name none, as in {{{key!r}: 'none'}}"
                )
            raise UserError(f"{section} {name!r} needs a value: --set {section}.{key}=…")
    return Part(name, defaults | chosen)


def _build(cls: type, flat: Flat, prefix: str, made: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    values = dict(made)
    nested: dict[str, Flat] = {}
    for key, value in flat.items():
        head, _, tail = key.partition(".")
        if head not in hints or is_dataclass(hints[head]) != bool(tail):
            raise unknown("key", prefix + key, _all_keys(made))
        if tail:
            nested.setdefault(head, {})[tail] = value
        else:
            values[head] = coerce(prefix + key, value, hints[head])
    for head, inner in nested.items():
        default = {f.name: f for f in fields(cls)}[head].default_factory
        values[head] = _build(hints[head], _under(default, inner), f"{prefix}{head}.", {})
    try:
        return cls(**values)
    except ValueError as error:
        raise UserError(f"{prefix}{error}") from None


def _under(default: Any, inner: Flat) -> Flat:
    """`inner` over the values of a section's default."""
    return flatten(default()) | inner if default is not dataclasses.MISSING else inner


def _all_keys(made: Mapping[str, Any]) -> list[str]:
    parts: dict[str, Any] = {section: made.get(section) or Part("") for section in PARTS}
    return list(flatten(Config(**parts)))
