"""What is known of every image of the pool, written without a pass over the pool."""

import torch
from torch import Tensor, nn


def last_of_each(index: Tensor, counts: Tensor | None = None) -> Tensor:
    """(N,) int64: the last place in the batch that has the image of this place and counts; -1 where none does.

    A batch may have an image twice. What is written by `index` is then the same at all places of an image, and the
    result does not depend on which is written last. Takes N log N, whatever the size of the pool.

    Args:
        index: (N,) int64, 0 or more.
        counts: (N,) bool; None: all places count.
    """
    n = len(index)
    place = torch.arange(n, device=index.device)  # (N,)
    ranked = index * (n + 1) + (place + 1 if counts is None else (place + 1) * counts)  # (N,), rises with both
    found = ranked.sort().values  # (N,)
    return found[torch.searchsorted(found, (index + 1) * (n + 1)) - 1] % (n + 1) - 1


class Learned(nn.Module):
    """The class that was last learned of every image of the pool, and how many images have each.

    Args:
        unlabeled: N_u.
        classes: C, which stands for none, too.
    """

    seen: Tensor  # (N_u,) int64
    counts: Tensor  # (C + 1,) int64, the last: of none

    def __init__(self, unlabeled: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.register_buffer("seen", torch.full((unlabeled,), classes))
        self.register_buffer("counts", torch.zeros(classes + 1, dtype=torch.long))
        self.forget()

    def update(self, index: Tensor, y: Tensor) -> None:
        """Learn classes y (N,) of images `index` (N,); C changes nothing. Of an image's several the last one counts."""
        last = last_of_each(index, y < self.classes)  # (N,)
        before = self.seen[index]  # (N,)
        now = torch.where(last >= 0, y[last.clamp_min(0)], before)  # (N,)
        once = (last == torch.arange(len(index), device=index.device)).long()  # (N,) one place for each changed image
        self.counts.scatter_add_(0, before, -once).scatter_add_(0, now, once)
        self.seen[index] = now

    def forget(self) -> None:
        """No image has a class."""
        self.seen.fill_(self.classes)
        self.counts.zero_()[-1] = len(self.seen)
