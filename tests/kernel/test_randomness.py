"""Draws are pure functions of named values, uniform, independent of each other, and the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sslkit.randomness import Draw, Step, bits, key, permutation, seeded, uniform

N = 1 << 18
KEYS = [key("a"), key("b", 1), key(0, "semi")]
unlikely = 1e-6  # a fixed stream is judged, so a test either always passes or never does


def positions(n: int = N) -> Tensor:
    return torch.arange(n)


def test_golden_values() -> None:
    """Frozen: a change of these changes every stored result."""
    assert key("a", 1) == 5981427342772527336
    assert bits(7, torch.arange(3)).tolist() == [7191089600892374487, 309689372594955804, -1830642326893942270]
    assert uniform(7, torch.arange(2)).tolist() == [0.38982969522476196, 0.016788244247436523]
    assert permutation(7, 8).tolist() == [3, 2, 1, 5, 7, 0, 4, 6]
    assert Step(3, 10, seed=5, micro=1).key("mixer") == -787498099943771217
    drawn = Draw(7, torch.tensor([4]), torch.tensor([2]))("a", 3)
    assert drawn.tolist() == [[0.0636061429977417, 0.7099266648292542, 0.1345820426940918]]


def test_splitmix64_by_python_integers() -> None:
    mask = (1 << 64) - 1
    for seed in (7, -1, 1 << 62, *KEYS):
        for position in (0, 1, 12_345, 1 << 40):
            x = ((position + 1) * 0x9E3779B97F4A7C15 + seed) & mask
            x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
            x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
            assert int(bits(seed, torch.tensor([position]))) & mask == x ^ (x >> 31)


@pytest.mark.parametrize("seed", KEYS)
@pytest.mark.parametrize("bins", [2, 10, 256])
def test_uniform_by_chi_square(seed: int, bins: int) -> None:
    u = uniform(seed, positions()).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.bincount((u * bins).astype(int), minlength=bins)
    assert stats.chisquare(counts).pvalue > unlikely


@pytest.mark.parametrize("seed", KEYS)
def test_every_bit_is_fair(seed: int) -> None:
    x = bits(seed, positions())
    for bit in range(64):
        ones = int(((x >> bit) & 1).sum())
        assert stats.binomtest(ones, N).pvalue > unlikely, f"bit {bit}"


@pytest.mark.parametrize("lag", [1, 2, 7, 64])
def test_neighbours_are_not_correlated(lag: int) -> None:
    for seed in KEYS:
        u = uniform(seed, positions()).double()
        r = float(torch.corrcoef(torch.stack([u[:-lag], u[lag:]]))[0, 1])
        assert abs(r) * (N - lag) ** 0.5 < 5


def test_pairs_fill_the_square() -> None:
    u = uniform(KEYS[0], positions()).numpy().reshape(-1, 2)
    counts = np.histogram2d(u[:, 0], u[:, 1], bins=16, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(counts.ravel()).pvalue > unlikely


def test_streams_are_not_correlated() -> None:
    """Neither streams of related names nor those of consecutive small seeds."""
    names = [key("view", name) for name in ("weak", "weak2", "strong", "strong2")]
    rows = torch.stack([uniform(seed, positions()) for seed in [*names, 0, 1, 2, 3]])
    r = torch.corrcoef(rows.double()) - torch.eye(len(rows))
    assert float(r.abs().max()) * N**0.5 < 5


def test_samples_visits_and_places_are_not_correlated() -> None:
    sample, visit = torch.meshgrid(torch.arange(300), torch.arange(300), indexing="ij")
    u = Draw(KEYS[0], sample.flatten(), visit.flatten())("a", 3).double().view(300, 300, 3)
    pairs = [(u[:-1], u[1:]), (u[:, :-1], u[:, 1:]), (u[..., :-1], u[..., 1:]), (u, u.transpose(0, 1))]
    for left, right in pairs[:3]:
        r = float(torch.corrcoef(torch.stack([left.flatten(), right.flatten()]))[0, 1])
        assert abs(r) * left.numel() ** 0.5 < 5
    off = ~torch.eye(300, dtype=torch.bool)  # (sample, visit) and (visit, sample) differ
    assert float((u[off] == u.transpose(0, 1)[off]).double().mean()) < 1e-4


def test_keys_tell_names_apart() -> None:
    made = [key("a", 1), key("a1"), key("a", "1"), key("a"), key("", "a"), key(1, "a"), key("a", "", 1)]
    assert len(set(made)) == len(made)
    assert all(-(1 << 63) <= k < 1 << 63 for k in made)


def test_permutations_of_four_are_equally_likely() -> None:
    counts = np.zeros(256, int)
    for i in range(4_800):
        a, b, c, d = permutation(key("perm", i), 4).tolist()
        counts[a * 64 + b * 16 + c * 4 + d] += 1
    found = counts[counts > 0]
    assert len(found) == 24
    assert stats.chisquare(found).pvalue > unlikely


@pytest.mark.parametrize("n", [0, 1, 2, 50_000])
def test_permutation_is_one(n: int) -> None:
    order = permutation(KEYS[1], n)
    assert order.dtype == torch.int64
    assert torch.equal(order.sort().values, torch.arange(n))
    if n > 2:
        assert not torch.equal(order, torch.arange(n))
        r = float(torch.corrcoef(torch.stack([order.double(), torch.arange(n).double()]))[0, 1])
        assert abs(r) * n**0.5 < 5


def test_draws_of_a_sample_do_not_depend_on_its_batch() -> None:
    draw = Draw(5, torch.arange(40), torch.arange(40) % 3)
    whole = draw("a", 10)
    assert torch.equal(draw.of(torch.arange(39, -1, -1))("a", 10).flip(0), whole)
    pieces = [draw.of(slice(i, i + 7))("a", 10) for i in range(0, 40, 7)]
    assert torch.equal(torch.cat(pieces), whole)
    assert torch.equal(draw("a", 4), whole[:, :4])
    assert len(torch.unique(torch.cat([whole.flatten(), draw("b", 10).flatten()]))) == 800


def test_step_draws_depend_on_name_step_micro_and_seed_alone() -> None:
    cpu = torch.device("cpu")
    step = Step(3, 10, seed=5)
    first = step.uniform("a", 4, device=cpu)
    assert torch.equal(Step(3, 99, seed=5).uniform("a", 4, device=cpu), first)
    others = [step.at(1), Step(4, 10, 5), Step(3, 10, 6)]
    assert all(not torch.equal(other.uniform("a", 4, device=cpu), first) for other in others)
    assert not torch.equal(step.uniform("b", 4, device=cpu), first)
    assert torch.equal(step.uniform("a", 2, 2, device=cpu).flatten(), first)


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_beta_against_scipy(alpha: float) -> None:
    drawn = Step(0, 1, seed=1).beta("lam", alpha, 20_000, device=torch.device("cpu")).double().numpy()
    expected = stats.beta(alpha, alpha)
    assert stats.kstest(drawn, expected.cdf).pvalue > unlikely
    assert drawn.mean() == pytest.approx(0.5, abs=0.015)
    assert drawn.var() == pytest.approx(expected.var(), rel=0.05)


def test_ramp() -> None:
    assert [Step(i, 10, 0).ramp(0.5) for i in (0, 1, 5, 9)] == [0.0, 0.2, 1.0, 1.0]
    assert Step(0, 10, 0).ramp(0) == 1.0


def test_seeded_weights_do_not_shift_each_other() -> None:
    seeded("backbone", 3)
    first = torch.rand(3)
    seeded("head", 3)
    assert not torch.equal(torch.rand(3), first)
    seeded("backbone", 3)
    assert torch.equal(torch.rand(3), first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_draws_the_same() -> None:
    here, there = positions(10_000), positions(10_000).cuda()
    assert torch.equal(uniform(KEYS[0], there).cpu(), uniform(KEYS[0], here))
    assert torch.equal(permutation(KEYS[0], 10_000, "cuda").cpu(), permutation(KEYS[0], 10_000))
    ours, theirs = (Draw(KEYS[0], x, x % 7)("a", 10) for x in (here, there))
    assert torch.equal(theirs.cpu(), ours)
