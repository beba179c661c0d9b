"""Labels spread over a graph in which every image, labelled or not, is tied to those most similar to it.

Paper: Zhou et al. 2003, Learning with Local and Global Consistency, NeurIPS 16

The graph is sparse: cosine similarities, cut at 0 and cubed, to the k nearest, in both directions. Columns are scaled
to the shares of the labels (class mass normalisation: Zhu et al. 2003, Semi-Supervised Learning Using Gaussian Fields
and Harmonic Functions, ICML). A new image takes the mean of its k nearest of the graph; it is not joined to the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslkit.contracts import Setup
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.registry import register

if TYPE_CHECKING:
    import scipy.sparse

POWER = 3
FLOOR = 1e-6  # share of a class that has none, so that its logit is finite
FAINT = 1e-8  # an image that no more than this reached is not told from rounding; what a label is worth is 1 and above
ROWS, COLUMNS = 1024, 8192  # of the similarities that are in memory at once


@register("algorithm")
class LabelSpreading(OnFeatures):
    """(I - alpha S) F = Y by conjugate gradients, S = D^-½ W D^-½, W_ij = max(0, cos)^3 among the k nearest.

    An image that no label reaches has the label of the labelled image that is most similar to it; a new image that
    is similar to none (no cosine above 0) that of the nearest image.

    Options:
        k: nearest images that an image is tied to, and that a new image asks; at most all others.
        alpha: share of an image's label that comes from those that it is tied to, in (0, 1).
    """

    views = {"labeled": (), "unlabeled": ()}
    bank: Tensor  # (n + N_u, D) float16, unit rows: labelled images, then the pool
    spread: Tensor  # (n + N_u, C), rows sum to 1

    def __init__(self, setup: Setup, *, k: int = 20, alpha: float = 0.9) -> None:
        super().__init__(setup)
        n = setup.labeled + setup.unlabeled
        if k < 1:
            raise UserError(f"algo.k is a number of images and must be 1 or more, got {k}")
        if not 0 < alpha < 1:
            raise UserError(f"algo.alpha must be above 0 and below 1, got {alpha}")
        self.k, self.alpha = k, alpha
        self.register_buffer("bank", torch.zeros(n, setup.student.feature_dim, dtype=torch.float16))
        self.register_buffer("spread", torch.zeros(n, setup.classes))

    def fit(self, labeled: Tensor, label: Tensor, unlabeled: Tensor) -> None:
        n = len(labeled)
        self.bank[:n] = F.normalize(labeled)
        for rows in torch.split(torch.arange(len(unlabeled)), ROWS):
            self.bank[n + rows] = F.normalize(unlabeled[rows]).half()
        y = np.zeros(self.spread.shape)
        y[np.arange(n), label] = 1
        spread = np.maximum(solve(self._graph(), y, self.alpha), 0)  # (n + N_u, C)
        reached = spread.sum(1) > FAINT
        spread *= y.sum(0) / np.maximum(spread.sum(0), FAINT)
        missed = torch.from_numpy(np.flatnonzero(~reached))
        closest = nearest(self.bank[missed], self.bank[:n], 1)[1][:, 0]
        spread[missed] = y[closest]
        self.spread.copy_(torch.from_numpy(spread / spread.sum(1, keepdims=True)))

    def _graph(self) -> scipy.sparse.csr_array:
        """W, (N, N), N = n + N_u: symmetric, no image is tied to itself."""
        import scipy.sparse

        n = len(self.bank)
        similar, place = nearest(self.bank, self.bank, min(self.k + 1, n))
        row = torch.arange(n)[:, None].expand_as(place)
        other = place != row
        ties = (similar[other].clamp_min(0) ** POWER).double()
        one_way = scipy.sparse.csr_array((ties.numpy(), (row[other].numpy(), place[other].numpy())), shape=(n, n))
        return one_way.maximum(one_way.T).tocsr()

    def classify(self, features: Tensor) -> Tensor:
        similar, place = nearest(F.normalize(features).half(), self.bank, min(self.k, len(self.bank)))
        weight = similar.clamp_min(0) ** POWER  # (N, k)
        weight[:, 0] += weight.sum(1) == 0
        asked = torch.einsum("nk,nkc->nc", weight, self.spread[place])
        return (asked / weight.sum(1, keepdim=True)).clamp_min(FLOOR).log()


def solve(ties: scipy.sparse.csr_array, y: np.ndarray, alpha: float) -> np.ndarray:
    """F (N, C) float64 with (I - alpha S) F = y, for symmetric ties W (N, N) that are 0 or more and y (N, C).

    An image without ties keeps its y: its row of S is 0.
    """
    import scipy.sparse
    from scipy.sparse.linalg import cg

    degree = ties.sum(1)
    scale = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    scaled = scipy.sparse.diags_array(scale) @ ties @ scipy.sparse.diags_array(scale)
    system = (scipy.sparse.eye_array(len(y)) - alpha * scaled).tocsr()
    return np.stack([cg(system, column, rtol=1e-10)[0] for column in y.T], 1)


def nearest(asked: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Similarities (N, k) float32, falling, and places (N, k) int64 in the bank of the k most similar of its rows.

    Args:
        asked: (N, D) float16 or float32, unit rows.
        bank: (n, D), likewise, with n at least k.
    """
    found = [(torch.zeros(0, k), torch.zeros(0, k, dtype=torch.int64))]
    for rows in torch.split(asked, ROWS):
        best, place = torch.zeros(len(rows), 0), torch.zeros(len(rows), 0, dtype=torch.int64)
        for start in range(0, len(bank), COLUMNS):
            similar = rows.float() @ bank[start : start + COLUMNS].float().T
            places = torch.arange(start, start + similar.shape[1]).expand_as(similar)
            best, place = torch.cat([best, similar], 1), torch.cat([place, places], 1)
            best, kept = best.topk(min(k, best.shape[1]))
            place = place.gather(1, kept)
        found.append((best, place))
    return torch.cat([best for best, _ in found]), torch.cat([place for _, place in found])
