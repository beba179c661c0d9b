"""Which tensor of a file is which of a network: names without what wrappers put before them; what may be lacking."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from torch import Tensor

from sslkit.errors import UserError, listed
from sslkit.network import HEADS
from sslkit.weights.reading import Selected, located, select, shown

PREFIXES = ("module", "_orig_mod", "backbone", "encoder", "model")
HEAD = re.compile(rf"(head\.)?({'|'.join(HEADS)})\.(weight|bias)")
POOLED = re.compile(r"fc_norm\.(weight|bias)")  # of a network that pools the mean, where the file's pools a token
UNUSED = re.compile(r"mask_token|decoder_.*|norm\.(weight|bias)")  # MAE's decoder; the norm that mean pooling replaces
ENOUGH = 0.5  # share of a network's values from which a file is taken for one of its architecture
Sorted = tuple[dict[str, Tensor], list[str], list[str]]


def choose(
    content: Any, which: str | None, own: Mapping[str, Tensor], own_name: Callable[[str], str], path: Path
) -> Selected:
    """As `select`; where that finds no weights of the network, the set that has its names, whatever stands before them.

    Raises:
        UserError: there are none, or several.
    """
    names = {bare(name) for name in own} | {*own}

    def known(name: str) -> bool:
        return any(end in names or own_name(end) in names for end in endings(name))

    failed, chosen = None, None
    try:
        chosen = select(content, which, {name.partition(".")[0] for name in own}, path)
        if _share(match(chosen[0], own, own_name, path)[0], own) >= ENOUGH:
            return chosen
    except UserError as error:
        failed = error
    sets = located(content, known)
    whole = {at: some for at, some in sets.items() if _share(match(some, own, own_name, path)[0], own) >= ENOUGH}
    fit = [at for at in whole if at == which] or [at for at in whole if which is None or at.startswith(f"{which}.")]
    if len(fit) == 1:
        (at,) = fit
        beside = [f"{other}.{name}".lstrip(".") for other, some in sets.items() if other != at for name in some]
        return whole[at], beside, [f"the network's weights are in {shown(at)!r}, which is taken"]
    if fit:
        raise UserError(
            f"{path} has several sets of the network's weights, {listed([*map(shown, fit)], 8)}; "
            f"--weights-container {shown(fit[0])} takes that"
        )
    if chosen is None:
        raise failed or UserError(f"{path} holds no weights")
    return chosen


def match(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], own_name: Callable[[str], str], path: Path
) -> Sorted:
    """The file's tensors by the network's names, and the file's names that are unexpected and that are ignored.

    Args:
        own_name: `Classifier.own_name`, for names that are not the network's.
    """
    names = {bare(name): name for name in own} | {name: name for name in own}
    found: dict[str, Tensor] = {}
    unexpected: list[str] = []
    ignored: list[str] = []
    for name, tensor in tensors.items():
        ends = [*endings(name)]
        target = next((names[end] for end in [*ends, *map(own_name, ends)] if end in names), None)
        if target in found:
            raise UserError(f"{path} has two tensors for {target}, one of them {shown(name)}")
        if target is not None:
            found[target] = tensor
        else:
            (ignored if UNUSED.fullmatch(bare(name)) else unexpected).append(name)
    return found, unexpected, ignored


def endings(name: str) -> Iterable[str]:
    """The name, and what is left of it as prefixes are taken off."""
    yield name
    while name.partition(".")[0] in PREFIXES and "." in name:
        name = name.partition(".")[2]
        yield name


def bare(name: str) -> str:
    """A parameter's name without what wrappers put before it."""
    return list(endings(name))[-1]


def check_whole(found: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path) -> None:
    """Raise where the file lacks a tensor of the network that nobody expects to be new."""
    counters = ("num_batches_tracked",)  # of BatchNorm, which nothing reads
    new = (HEAD, POOLED)
    lacking = [bare(n) for n in own if n not in found and not any(r.fullmatch(bare(n)) for r in new)]
    lacking = [name for name in lacking if not name.endswith(counters)]
    if lacking:
        raise UserError(
            f"{path} lacks {len(lacking)} of the network's {len(own)} tensors, {listed(lacking)}; "
            "--weights-partial leaves them as they start"
        )


def check_no_deeper(taken: Sequence[str], unexpected: Sequence[str], path: Path) -> None:
    """Raise where the file has more blocks of the kind that was loaded: it is of a deeper network."""
    kinds = {_kind(name) for name in taken}
    if more := [name for name in unexpected if _kind(name) in kinds]:
        raise UserError(
            f"{path} is of a deeper network: it has {len(more)} tensors more, {listed([*map(shown, more)])}; "
            "--weights-partial leaves them out"
        )


def _kind(name: str) -> str:
    """A name without the numbers of blocks."""
    return re.sub(r"(?<=\.)\d+(?=\.)", "#", bare(name))


def _share(found: Iterable[str], own: Mapping[str, Tensor]) -> float:
    """Share of the network's values, the head aside, for which there are names."""
    sizes = {name: tensor.numel() for name, tensor in own.items() if not HEAD.fullmatch(bare(name))}
    return sum(sizes.get(name, 0) for name in found) / max(1, sum(sizes.values()))


def check_share(found: Mapping[str, Tensor], unexpected: list[str], own: Mapping[str, Tensor], path: Path) -> None:
    """Raise where the file has names for less than half of the network's values, the head aside."""
    share = _share(found, own)
    if share < ENOUGH:
        lacking = [bare(name) for name in own if name not in found and not HEAD.fullmatch(bare(name))][:5]
        pairs = [(SequenceMatcher(None, a, b).ratio(), a, b) for a in lacking for b in unexpected[:200]]
        near = f"; nearest are the network's {max(pairs)[1]} and the file's {shown(max(pairs)[2])}" if pairs else ""
        raise UserError(f"{path} has {share:.0%} of the network's values: it is of another architecture{near}")
