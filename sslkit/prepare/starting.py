"""What a run starts from where nobody says it, and how its images are prepared for that."""

from __future__ import annotations

from collections.abc import Callable

from sslkit import registry
from sslkit.config import Flat
from sslkit.config.resolve import argument
from sslkit.config.starting import NOTHING
from sslkit.config.values import coerce
from sslkit.data import is_own
from sslkit.errors import UserError
from sslkit.network import Classifier
from sslkit.weights.origin import Origin, backbone_of, origin_of, sentence
from sslkit.weights.packages import install, packaged

MAX_SIZE = 224  # pixels, unless asked for more
SMALL_SIZE = 64  # up to here images have the views of the small-image protocol, above those of Semi-ViT
LARGE = 64  # pixels of the shorter side; from here on images of one's own start from ImageNet weights
BACKBONE = "efficientnet_lite0"  # the network that they start with
KEYS = ("data.stats", "data.interpolation", "data.size")


def choose_start(request: Flat, side: Callable[[], int]) -> tuple[Flat, Origin, list[str]]:
    """The request with what is chosen for it: backbone, weights, and images prepared as they were for the weights.

    Images of one's own of 64 px and more start from the ImageNet weights that a package brings: with the backbone that
    is named, or with `BACKBONE` where none is. Published data sets do not, as their protocols start from random weights
    or name others. A missing package is said, and the weights are then "none".

    Args:
        side: gives the median of the shorter sides of the images, in pixels.

    Returns:
        the request, the origin of the weights (without a name where there are none), and sentences on what was chosen.

    Raises:
        UserError: the weights that are asked for do not exist.
    """
    flat, said = dict(request), list[str]()
    weights = coerce("weights", flat.get("weights"), str | None)
    own = is_own(str(flat.get("data.name", "digits"))) and "pretrain" not in str(flat.get("stages", ""))
    free = weights is None and own and _pixels(flat, side) >= LARGE
    if flat.get("backbone.name", "auto") == "auto" and (of_run := backbone_of(weights)):
        flat = of_run | {k: v for k, v in flat.items() if k != "backbone.name"}
        told = "".join(f", {key}={value}" for key, value in of_run.items() if key != "backbone.name")
        said.append(f"backbone {of_run['backbone.name']}{told}, as the run has it that is started from")
    if flat.get("backbone.name", "auto") == "auto":
        if not free and weights in NOTHING:
            return flat, Origin(""), said
        lite = free or weights == "imagenet"
        flat["backbone.name"] = BACKBONE if lite else network_for(side_of(flat, side), said)
        why = f"images of {LARGE} px and more" if free else "ImageNet weights"
        said += [f"backbone {BACKBONE}, chosen for {why}"] if lite else []
    name = flat["backbone.name"]
    cls = registry.load("backbone", name)
    if free and cls.weights_package():
        there = packaged(cls) is not None
        flat["weights"] = weights = "imagenet" if there else "none"
        said += [] if there else [_missing(name, cls)]
    origin = _origin(flat, weights, cls, name)
    if origin is None:
        return flat, Origin(""), said
    suits = origin.defaults(large=flat.get("data.size", "auto") == "auto" and side() >= LARGE)
    taken = {key: value for key, value in suits.items() if flat.get(key, "auto") == "auto"}
    return flat | taken, origin, said + ([sentence(origin, taken)] if taken or origin.license else [])


def side_of(flat: Flat, side: Callable[[], int]) -> int:
    """`data.size`, or what is chosen for images whose median is `side()`: at most `MAX_SIZE`, a multiple of a patch."""
    asked = flat.get("data.size", "auto")
    if isinstance(asked, int):
        return int(asked)
    median = min(side(), MAX_SIZE)
    patch = 4 if median <= SMALL_SIZE else 16  # of a ViT; a size that nobody chose must not fail for it
    return max(patch, round(median / patch) * patch)


def network_for(size: int, said: list[str]) -> str:
    """The backbone for images of this size, in pixels; the sentence about it goes to `said`."""
    network = "vit_micro" if size <= 16 else "vit_tiny" if size <= SMALL_SIZE else "vit_small"
    said.append(f"backbone {network}, chosen for images of {size} px")
    return network


def _pixels(flat: Flat, side: Callable[[], int]) -> int:
    """The size that is asked for, else that of the images."""
    asked = flat.get("data.size", "auto")
    return int(asked) if isinstance(asked, int) else side()


def _missing(backbone: str, cls: type[Classifier]) -> str:
    return (
        f"{backbone} starts from random weights: its ImageNet weights are not installed, with which few labels give "
        f"far more: {install(cls)}; --weights none says that random ones are meant"
    )


def _origin(flat: Flat, weights: str | None, cls: type[Classifier], backbone: str) -> Origin | None:
    """As `origin_of`; where the request leaves nothing to it, it does not matter what is gone since.

    Raises:
        UserError: as `origin_of`.
    """
    try:
        return origin_of(weights, cls, argument("backbone", backbone, cls), backbone)
    except UserError:
        if all(flat.get(key, "auto") != "auto" for key in KEYS):
            return None
        raise
