"""What is kept of every image of a pool: the last place of an image, the class last learned, and the counts."""

from __future__ import annotations

import pytest
import torch

from sslkit.algorithms.labelers._last import Learned, last_of_each


def loop(index: list[int], counts: list[bool]) -> list[int]:
    last = {}
    for place, (image, heeded) in enumerate(zip(index, counts, strict=True)):
        if heeded:
            last[image] = place
    return [last.get(image, -1) for image in index]


@pytest.mark.parametrize("pool", [1, 3, 50, 10**7])
@pytest.mark.parametrize("n", [0, 1, 2, 7, 64])
def test_the_last_of_each_is_a_loops(pool: int, n: int) -> None:
    for seed in range(20):
        draws = torch.Generator().manual_seed(seed)
        index = torch.randint(pool, (n,), generator=draws)
        heeded = torch.rand(n, generator=draws) < 0.5
        assert last_of_each(index, heeded).tolist() == loop(index.tolist(), heeded.tolist())
        assert last_of_each(index).tolist() == loop(index.tolist(), [True] * n)


def test_the_last_of_each_by_hand() -> None:
    index, heeded = torch.tensor([4, 0, 4, 4, 2]), torch.tensor([True, True, True, False, False])
    assert last_of_each(index).tolist() == [3, 1, 3, 3, 4]
    assert last_of_each(index, heeded).tolist() == [2, 1, 2, 2, -1]


def test_counts_are_those_of_the_classes_that_were_learned() -> None:
    """Sixty steps with images that stand several times in a batch, and one time all is forgotten."""
    learned, plain = Learned(9, 4), [4] * 9
    for step in range(60):
        draws = torch.Generator().manual_seed(step)
        index, y = torch.randint(9, (7,), generator=draws), torch.randint(5, (7,), generator=draws)
        learned.update(index, y)
        for image, c in zip(index.tolist(), y.tolist(), strict=True):
            plain[image] = c if c < 4 else plain[image]
        if step == 30:
            learned.forget()
            plain = [4] * 9
        assert learned.seen.tolist() == plain
        assert learned.counts.tolist() == [plain.count(c) for c in range(5)]
