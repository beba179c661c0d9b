from typing import Any

import pytest
import torch
from torch import nn

from sslkit.conformance.guard import no_sync
from sslkit.contracts import Mixed, PseudoLabels
from sslkit.losses import cross_entropy, frozen_stats, joint_forward, one_hot, only_kept, weighted_ce
from sslkit.network import Output
from sslkit.randomness import Step
from tests.algorithms import reference
from tests.algorithms.make import CLASSES, STEP, images, labels, network


def logits(n: int) -> torch.Tensor:
    return 4 * torch.randn(n, CLASSES, generator=torch.Generator().manual_seed(n))


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("weight", ["none", "all", "real"])
def test_weighted_ce_is_the_loop(n, weight):
    z, made = logits(n), labels([0.5] * n)
    w = {"none": torch.zeros(n), "all": torch.ones(n), "real": torch.arange(n) * 0.7}[weight]
    found = weighted_ce(z, PseudoLabels(made.target, w, made.confidence), n=n + 3)
    rows = zip(w.tolist(), made.target.tolist(), z.tolist(), strict=True)
    expected = sum(wi * reference.cross_entropy(q, zi) for wi, q, zi in rows) / (n + 3)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_is_the_mean_over_labels():
    z, y = logits(5), [0, 4, 4, 2, 1]
    expected = sum(reference.cross_entropy(reference.smoothed(c, CLASSES, 0), row)
                   for c, row in zip(y, z.tolist(), strict=True)) / 5  # fmt: skip
    assert cross_entropy(Output(z, z), torch.tensor(y)).item() == pytest.approx(expected, rel=1e-5)


def test_the_normaliser_is_the_batch_not_the_kept():
    z, made = logits(4), labels([0.9, 0.9, 0.9, 0.9])
    z, made = z[:1].expand(4, -1), PseudoLabels(made.target[:1].expand(4, -1), made.weight, made.confidence)
    half = PseudoLabels(made.target, torch.tensor([1.0, 0.0, 1.0, 0.0]), made.confidence)
    whole = weighted_ce(z, made, n=4)
    assert weighted_ce(z, half, n=4).item() == pytest.approx(whole.item() / 2)
    twice = PseudoLabels(made.target.repeat(2, 1), torch.cat([made.weight, torch.zeros(4)]), made.confidence.repeat(2))
    assert weighted_ce(z.repeat(2, 1), twice, n=8).item() == pytest.approx(whole.item() / 2)


def test_nothing_kept_is_a_loss_of_zero_with_a_gradient_of_zero():
    z = logits(3).requires_grad_()
    made = labels([0.1, 0.1, 0.1])
    loss = weighted_ce(z, made, n=3)
    loss.backward()
    assert loss.item() == 0
    assert z.grad is not None
    assert not z.grad.any()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_one_hot_is_the_loop(smoothing):
    found = one_hot(torch.tensor([3, 0, 3]), CLASSES, smoothing)
    assert found.dtype == torch.float32
    for row, y in zip(found.tolist(), (3, 0, 3), strict=True):
        assert row == pytest.approx(reference.smoothed(y, CLASSES, smoothing))


@pytest.mark.parametrize("kept", [[], [1], [0, 1, 2, 3], [0, 3]])
def test_only_kept_leaves_the_images_of_weight_above_zero(kept):
    made = labels([0.9 if i in kept else 0.1 for i in range(4)])
    x = images(4)
    found = only_kept(Mixed(x, made))
    places = kept or [0]  # one image stays, so that every parameter has a gradient
    assert found.images.equal(x[places])
    for name in ("target", "weight", "confidence"):
        assert getattr(found.labels, name).equal(getattr(made, name)[places])


class Norms(nn.Module):
    """All kinds of BatchNorm that run on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm1d(3), nn.BatchNorm2d(3), nn.BatchNorm3d(3, momentum=None)])
        self.fixed = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        one, two, three = self.norms
        return one(x.flatten(2)).flatten() + two(x).flatten() + three(x[..., None]).flatten() + self.fixed(x).flatten()


def test_frozen_statistics_use_the_batch_and_leave_every_buffer_as_it_was():
    net = Norms().train()
    net(images(4, seed=1))  # statistics that are not the initial ones
    before = {name: buffer.clone() for name, buffer in net.state_dict().items()}
    with frozen_stats(net), no_sync():
        frozen = net(images(4, seed=2))
    assert all(net.state_dict()[name].equal(value) for name, value in before.items())
    assert frozen.equal(net(images(4, seed=2)))  # the output is that of train mode
    changed = [name for name, value in before.items() if not net.state_dict()[name].equal(value)]
    assert len(changed) == 9  # and afterwards mean, variance and counter of all three move again
    assert not net.fixed.track_running_stats


def test_frozen_statistics_cover_synchronised_norms_and_survive_an_error():
    net = nn.Sequential(nn.SyncBatchNorm(3), nn.BatchNorm2d(3))
    inside: list[object] = []

    def fails() -> None:
        with frozen_stats(net):
            inside.extend(norm.track_running_stats for norm in net)
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert inside == [False, False]
    assert all(norm.track_running_stats for norm in net)


@pytest.mark.parametrize(("name", "coupled"), [("wrn", True), ("vit", False)])
def test_a_joint_forward_couples_the_views_through_batch_norm_alone(name, coupled):
    net = network(name).train()
    one, _ = joint_forward("student", net, STEP, images(3), images(4, seed=1))
    other, rest = joint_forward("student", net, STEP, images(3), 2 * images(4, seed=2))
    assert one.logits.shape == (3, CLASSES)
    assert rest.logits.shape == (4, CLASSES)
    assert rest.features.shape == (4, net.feature_dim)
    assert torch.allclose(one.logits, other.logits, atol=1e-5) != coupled


@pytest.mark.parametrize("name", ["wrn", "vit"])
def test_a_joint_forward_is_that_of_the_concatenated_images(name):
    groups = images(3), images(2, seed=1), images(4, seed=2)
    found = joint_forward("student", network(name).train(), STEP, *groups)
    whole = network(name).train()(torch.cat(groups))
    assert torch.cat([out.logits for out in found]).equal(whole.logits)
    assert torch.cat([out.features for out in found]).equal(whole.features)


def test_named_forwards_draw_the_same_dropout_whatever_was_drawn_before():
    net = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Flatten())
    step: Any = STEP  # its `forward` wants a classifier, which `net` is not
    later: Any = Step(4, 20, 11)
    first = step.forward("student", net, images(2))
    torch.rand(5)
    assert step.forward("student", net, images(2)).equal(first)
    for other in (step.forward("teacher", net, images(2)), later.forward("student", net, images(2))):
        assert not other.equal(first)
