"""The same image at the same visit is the same view, however it is batched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslkit.augment.policy import Policy
from sslkit.contracts import Stream
from sslkit.training.loader import Loader, Source

POLICY = Policy(shift=0.2, rotate=15.0, flip=True, brightness=0.3, randaugment="usb-n3", erase=0.5)
VIEWS = {"labeled": {"weak": POLICY}, "unlabeled": {"weak": POLICY, "weak2": POLICY, "strong": POLICY}}
ZERO, ONE = torch.zeros(3), torch.ones(3)


def loader(
    batch: int = 8,
    parts: int = 1,
    *,
    seed: int = 0,
    n: int = 24,
    sample: Tensor | None = None,
    views: dict[str, dict[str, Policy]] = VIEWS,
) -> Loader:
    pixels = torch.randint(0, 256, (n, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    sample = torch.arange(n) if sample is None else sample
    sources = {
        "labeled": Source(pixels, sample, torch.arange(n) % 3, batch),
        "unlabeled": Source(pixels, sample, None, batch),
    }
    return Loader(sources, views, seed, parts, ZERO, ONE)


def walk(made: Loader, steps: int, name: str = "unlabeled") -> list[Stream]:
    return [made.batch(step, micro)[name] for step in range(steps) for micro in range(made.parts)]


def joined(streams: list[Stream], view: str) -> Tensor:
    return torch.cat([stream[view] for stream in streams])


@pytest.mark.parametrize(("batch", "parts"), [(8, 2), (8, 8), (4, 1), (6, 3), (24, 1), (48, 2)])
def test_batch_size_and_micro_batching_do_not_change_a_view(batch: int, parts: int) -> None:
    one = walk(loader(8), 6)
    other = walk(loader(batch, parts), 48 // batch)
    assert torch.equal(torch.cat([s.index for s in one]), torch.cat([s.index for s in other]))
    for view in ("weak", "weak2", "strong"):
        assert torch.equal(joined(one, view), joined(other, view))


def test_place_in_a_batch_does_not_change_a_view() -> None:
    """Another order of the data, the same samples and visits: the same views."""
    one, other = (walk(loader(24, sample=torch.arange(24)), 1)[0], walk(loader(24, n=24), 1)[0])
    assert torch.equal(one["weak"], other["weak"])
    backwards = torch.arange(24).flip(0)
    moved = loader(24)
    moved._orders["unlabeled", 0] = moved._order("unlabeled", 0)[backwards]
    assert torch.equal(walk(moved, 1)[0]["weak"], one["weak"][backwards])


def test_views_seeds_streams_and_visits_differ() -> None:
    stream = walk(loader(), 1)[0]
    assert not torch.equal(stream["weak"], stream["weak2"])  # the same policy, draws of its own
    first, second = walk(loader(24), 2)  # two epochs
    back = [s["weak"][s.index.argsort()] for s in (first, second)]
    assert not torch.equal(*back)
    assert not torch.equal(first.index, second.index)
    other = walk(loader(24, seed=1), 1)[0]
    assert not torch.equal(other.index, first.index)


def test_every_epoch_is_a_permutation() -> None:
    index = torch.cat([s.index for s in walk(loader(8), 6)])
    for epoch in index.split(24):
        assert torch.equal(epoch.sort().values, torch.arange(24))


@pytest.mark.parametrize("n", [1, 3, 7])
def test_pools_smaller_than_a_batch_wrap_round(n: int) -> None:
    streams = walk(loader(8, n=n), 5)
    assert all(len(s.index) == 8 and s["weak"].shape == (8, 3, 8, 8) for s in streams)
    counts = torch.cat([s.index for s in streams]).bincount(minlength=n)
    assert counts.max() - counts.min() <= 1
    again = streams[0]
    first = (again.index == again.index[-1]).nonzero().flatten()
    assert not torch.equal(again["weak"][first[0]], again["weak"][first[1]])  # another visit, another view


def test_batches_can_be_asked_for_in_any_order() -> None:
    made = loader(8)
    late, early = made.batch(9, 0)["unlabeled"], made.batch(0, 0)["unlabeled"]
    assert torch.equal(late["weak"], loader(8).batch(9, 0)["unlabeled"]["weak"])
    assert torch.equal(early["weak"], loader(8).batch(0, 0)["unlabeled"]["weak"])


def test_labels_go_with_their_images_and_stay_hidden() -> None:
    batch = loader(8).batch(0, 0)
    assert torch.equal(batch["labeled"].y, batch["labeled"].index % 3)
    assert batch["unlabeled"].label is None
    with pytest.raises(AssertionError):
        _ = batch["unlabeled"].y


def test_draws_follow_the_sample_not_the_place_in_the_source() -> None:
    """Labelled images keep their views when more labels are asked for."""
    one = loader(24, sample=torch.arange(24) + 100)
    other = loader(24, sample=torch.arange(24))
    assert not torch.equal(walk(one, 1)[0]["weak"], walk(other, 1)[0]["weak"])
