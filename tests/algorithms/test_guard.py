from collections.abc import Callable

import pytest
import torch

from sslkit.conformance.guard import HostSync, no_sync

X = torch.arange(4.0)
SYNCS: dict[str, Callable[[], object]] = {
    "item": lambda: X.sum().item(),
    "float": lambda: float(X[0]),
    "branch": lambda: 1 if (X > 0).all() else 0,
    "nonzero": X.nonzero,
    "mask": lambda: X[X > 1],
    "mask written": lambda: X.clone().__setitem__(X > 1, 0.0),
    "mask of tensors": lambda: X.clone().index_put_((X > 1,), X[:2]),
    "select": lambda: X.masked_select(X > 1),
    "unique": X.unique,
    "equal": lambda: torch.equal(X, X),
    "where": lambda: torch.where(X > 1),
}


@pytest.mark.parametrize("name", SYNCS)
def test_a_host_synchronisation_is_seen(name):
    SYNCS[name]()
    with pytest.raises(HostSync, match="waits for the device"), no_sync():
        SYNCS[name]()


def test_what_stays_on_the_device_passes():
    with no_sync():
        found = torch.where(X > 1, X, 0.0)[torch.tensor([0, 2])].masked_fill(X[:2] > 5, 1.0)
    assert found.tolist() == [0.0, 2.0]
