"""What holds for every method on frozen features; self-training, prototypes and the mixture each against an oracle."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestCentroid
from sklearn.semi_supervised import SelfTrainingClassifier

from sslkit import registry
from sslkit.algorithms._mixture import SMOOTH, Mixture, learn
from sslkit.algorithms.self_training import best_of_each
from sslkit.algorithms.sgmm import start
from sslkit.errors import UserError
from sslkit.frozen import OnFeatures
from sslkit.randomness import Step
from tests.algorithms.make import built_in, stepping
from tests.algorithms.on_features import Data, accuracy, fitted, made

METHODS = sorted(set(built_in("algorithm")) - set(stepping()))
unit = torch.nn.functional.normalize


def test_these_are_all() -> None:
    assert METHODS == ["knn", "label_spreading", "linear", "prototypes", "self_training", "sgmm"]


@pytest.mark.parametrize("name", METHODS)
def test_what_was_fitted_is_in_the_state_and_in_it_alone(name: str) -> None:
    data = Data(9, pool=40)
    given = [x.clone() for x in (data.labeled, data.label, data.pool)]
    torch.manual_seed(1)
    method, other = fitted(name, data), made(name, data)
    assert all(x.equal(was) for x, was in zip((data.labeled, data.label, data.pool), given, strict=True))
    logits = method.classify(data.test)
    assert logits.shape == (60, 3)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert accuracy(logits, data.truth) > 0.85
    other.load_state_dict(method.state_dict())
    assert other.classify(data.test).equal(logits)
    assert method.predict(method.student, data.test).equal(logits)
    torch.manual_seed(2)
    assert fitted(name, data).classify(data.test).equal(logits)  # nothing is drawn from the global generator
    with pytest.raises(NotImplementedError):
        method({}, Step(0, 1, 0))


@pytest.mark.parametrize("name", METHODS)
def test_no_pool_one_image_to_classify_and_a_class_without_a_label(name: str) -> None:
    data = Data(9)
    data.classes, data.label = 4, data.label + (data.label == 2)  # classes 0, 1 and 3
    logits = fitted(name, data).classify(data.test)
    assert logits.isfinite().all()
    assert 2 not in logits.argmax(1)
    assert accuracy(logits, data.truth + (data.truth == 2)) > 0.85
    torch.testing.assert_close(fitted(name, data).classify(data.test[:1]), logits[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_the_pool_is_asked_for_by_those_that_use_it(name: str) -> None:
    cls = registry.load("algorithm", name)
    assert issubclass(cls, OnFeatures)
    assert ("unlabeled" in cls.views) == (name not in ("knn", "linear"))
    assert all(images == () for images in cls.views.values())


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_self_training_equals_scikit_learn_where_both_take_alike(rounds: int) -> None:
    """Classes are mirror images, so that the surest 2 k of both classes are k of each, as scikit-learn counts."""
    data = Data(6, pool=60, classes=2, noise=1.5)
    data.labeled, data.pool = (unit(x - 1) for x in (data.labeled, data.pool))
    half, pool = data.labeled[data.label == 0], data.pool[:30]
    data.labeled, data.label = torch.cat([half, -half]), torch.tensor([0] * 3 + [1] * 3)
    data.pool = torch.cat([pool, -pool])
    method = fitted("self_training", data, k_best=3, rounds=rounds, C=2.0)
    base = LogisticRegression(C=4.0, tol=1e-9)  # of two classes: half the penalty; z is what it is given, see above
    features = torch.cat([data.labeled, data.pool]).double().numpy()
    y = np.concatenate([data.label, np.full(60, -1)])
    theirs = SelfTrainingClassifier(base, criterion="k_best", k_best=6, max_iter=rounds) if rounds else base
    theirs.fit(features if rounds else features[:6], y if rounds else y[:6])
    mine = method.classify(unit(data.test - 1)).softmax(1)
    np.testing.assert_allclose(mine, theirs.predict_proba(unit(data.test - 1).double().numpy()), atol=1e-5)


def test_self_training_ends_with_the_pool_and_changes_no_label() -> None:
    data = Data(6, pool=20)
    method: Any = made("self_training", data, k_best=2, rounds=50)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    learned = method._learn

    def noted(features: torch.Tensor, y: torch.Tensor) -> None:
        seen.append((features, y))
        learned(features, y)

    method._learn = noted
    method.fit(data.labeled, data.label, data.pool)
    assert len(seen[-1][1]) == 26
    for (few, first), (more, second) in pairwise(seen):
        assert more[: len(few)].equal(few)
        assert second[: len(first)].equal(first)
        assert second[len(first) :].sum(0).max() <= 2
    assert sorted(seen[-1][0][6:].tolist()) == sorted(data.pool.tolist())


def test_the_most_confident_of_each_class() -> None:
    confidence = torch.tensor([0.9, 0.5, 0.9, 0.8, 0.7])
    assert best_of_each(confidence, torch.tensor([1, 1, 1, 0, 2]), 2).tolist() == [3, 0, 2, 4]


def test_prototypes_without_a_pool_are_the_nearest_class_mean() -> None:
    data = Data(12, noise=1.5)
    found = fitted("prototypes", data).classify(data.test).argmax(1)
    means = np.stack([unit(data.labeled)[data.label == c].mean(0) for c in range(3)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a mean of one point has no variance
        theirs = NearestCentroid().fit(means, np.arange(3))
    assert found.tolist() == theirs.predict(unit(data.test)).tolist()


def test_prototypes_without_warmth_are_k_means() -> None:
    """On clusters that are equally wide, where a cosine and a distance divide them alike, from a start that is off."""
    data = Data(3, pool=150, noise=0.4)
    data.labeled = data.labeled + 0.3 * data.normal(3, 12)
    method: Any = fitted("prototypes", data, temperature=1e-4, rounds=30)
    unmoved: Any = fitted("prototypes", data, rounds=0)
    points = unit(torch.cat([data.labeled, data.pool])).numpy()
    theirs = KMeans(3, init=unit(data.labeled).numpy(), n_init=1, tol=0).fit(points)
    np.testing.assert_allclose(method.prototypes, unit(torch.from_numpy(theirs.cluster_centers_)), atol=1e-4)
    assert accuracy(unmoved.classify(data.pool), data.hidden) < 0.95
    assert accuracy(method.classify(data.pool), data.hidden) > 0.95


def test_a_round_moves_prototypes_as_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data(6, pool=50, noise=1.5)
    monkeypatch.setattr("sslkit.algorithms.prototypes.BLOCK", 7 * 12)
    method: Any = fitted("prototypes", data, temperature=0.1, rounds=3)
    y, f, u = np.eye(3)[data.label], *(unit(x).double().numpy() for x in (data.labeled, data.pool))
    c = y.T @ f
    for _ in range(3):
        q = np.exp(u @ (c / np.linalg.norm(c, axis=1, keepdims=True)).T / 0.1)
        c = y.T @ f + (q / q.sum(1, keepdims=True)).T @ u
    np.testing.assert_allclose(method.prototypes, c / np.linalg.norm(c, axis=1, keepdims=True), atol=1e-6)


def points(n: int, noise: float = 0.7) -> tuple[torch.Tensor, torch.Tensor]:
    data = Data(n, dim=4, noise=noise)
    return data.labeled.double(), data.label


@pytest.mark.parametrize("labeled", [0, 12, 200])
@pytest.mark.parametrize("ridge", [1e-6, 1.0, 50.0])
def test_the_mixtures_objective_never_falls(labeled: int, ridge: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslkit.algorithms._mixture.GAIN", -1.0)
    z, y = points(200, noise=1.2)
    y[labeled:] = -1
    mixture = Mixture(5, 4, 3)
    reached = learn(mixture, z, y, start(z, y, 5), ridge, 30)
    assert len(reached) == 30
    assert reached[-1] > reached[0]
    assert min(np.diff(reached)) > -1e-8 * abs(reached[0])
    assert mixture.alpha.sum().item() == pytest.approx(1, abs=1e-6)
    assert mixture.alpha.std() > 0.01
    torch.testing.assert_close(mixture.beta.sum(1), torch.ones(5))


def test_without_labels_the_mixture_is_scikit_learns_from_the_same_start() -> None:
    z, _ = points(300, noise=1.0)
    y = torch.full((300,), -1)
    first = start(z, y, 4)
    begun, mixture = Mixture(4, 4, 3).double(), Mixture(4, 4, 3)
    learn(begun, z, y, first, 1e-9, 1)
    learn(mixture, z, y, first, 1e-9, 8)
    precisions = begun.whiten.transpose(1, 2) @ begun.whiten
    begin = {"weights_init": begun.alpha, "means_init": begun.mu, "precisions_init": precisions}
    theirs = GaussianMixture(4, reg_covar=1e-12, max_iter=7, tol=0, **{k: v.numpy() for k, v in begin.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it has not converged
        theirs.fit(z.numpy())
    np.testing.assert_allclose(mixture.alpha, theirs.weights_, atol=1e-4)
    np.testing.assert_allclose(mixture.mu, theirs.means_, atol=1e-3)
    covariances = torch.linalg.inv(mixture.whiten.transpose(1, 2) @ mixture.whiten)
    np.testing.assert_allclose(covariances, theirs.covariances_, atol=1e-3)
    assert mixture.log_classes(z.float()).exp().sub(1 / 3).abs().max() < 1e-5  # no label: all classes alike


def test_with_all_labels_and_a_component_each_the_mixture_is_quadratic_discriminant_analysis() -> None:
    z, y = points(120, noise=1.0)
    mixture = Mixture(3, 4, 3)
    learn(mixture, z, y, y, 1e-9, 5)
    theirs = QuadraticDiscriminantAnalysis().fit(z.numpy(), y.numpy())
    # it divides by n - 1 where the likelihood's maximum divides by n
    expected = theirs.predict_proba(z.numpy())
    np.testing.assert_allclose(mixture.log_classes(z.float()).exp(), expected, atol=0.02)
    shares = (z[:, None] - mixture.mu).double(), mixture.whiten.double()
    log = -0.5 * torch.einsum("nmd,med->nme", *shares).square().sum(2) + shares[1].diagonal(0, 1, 2).log().sum(1)
    torch.testing.assert_close(mixture.log_classes(z.float()).exp().double(), log.softmax(1), atol=1e-3, rtol=0)
    assert mixture.beta.max(1).values.min() > 1 - SMOOTH


def test_a_component_of_the_pool_learns_its_class_from_the_labels_near_it() -> None:
    """Class 1 has two clusters; a class mean in between starts as one component, and is none of both."""
    data = Data(1, dim=2)
    place = torch.tensor([[0.0, 0.0], [4.0, 1.0], [-4.0, 1.0]])
    part = torch.arange(300) % 3
    z = (place[part] + 0.5 * data.normal(300, 2)).double()
    truth = (part > 0).long()
    y = torch.where(torch.arange(300) < 12, truth, -1)
    mixture = Mixture(3, 2, 2)
    learn(mixture, z, y, start(z, y, 3), 0.1, 50)
    assert accuracy(mixture.log_classes(z.float()), truth) == 1.0


def test_principal_components_are_those_of_the_unit_features() -> None:
    data = Data(6, pool=50, noise=1.0)
    method: Any = fitted("sgmm", data, dim=5)
    f = unit(torch.cat([data.labeled, data.pool])).double().numpy()
    f = f - f.mean(0)
    _, _, axes = np.linalg.svd(f)
    projected = method._reduced(torch.cat([data.labeled, data.pool])).double().numpy()
    np.testing.assert_allclose(projected @ projected.T, f @ axes[:5].T @ axes[:5] @ f.T, atol=1e-5)
    assert method.axes.shape == (12, 5)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("self_training", {"k_best": 0}),
        ("self_training", {"rounds": -1}),
        ("self_training", {"C": -1.0}),
        ("prototypes", {"temperature": 0.0}),
        ("prototypes", {"rounds": -1}),
        ("sgmm", {"dim": 0}),
        ("sgmm", {"components": 2}),
        ("sgmm", {"ridge": 0.0}),
        ("sgmm", {"rounds": 0}),
    ],
)
def test_wrong_options_are_refused(name: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"algo\.{next(iter(wrong))}"):
        made(name, Data(6, pool=10), **wrong)


def test_self_training_heeds_the_weights_of_classes_that_were_given() -> None:
    data = Data(9, noise=1.5)
    method: Any = made("self_training", data, rounds=0)
    method.class_weights = torch.tensor([5.0, 0.5, 0.5])
    method.fit(data.labeled, data.label, data.pool)
    linear: Any = made("linear", data)
    linear.class_weights = method.class_weights
    linear.fit(data.labeled, data.label, data.pool)
    assert method.weight.equal(linear.weight)
    assert not method.weight.equal(fitted("linear", data).weight)


def test_a_class_without_a_label_gets_no_prototype_from_the_pool() -> None:
    data = Data(9, pool=40)
    data.classes, data.label = 4, data.label + (data.label == 2)  # classes 0, 1 and 3
    method: Any = fitted("prototypes", data, temperature=0.5, rounds=2)
    assert not method.prototypes[2].any()
    assert (method.classify(data.test)[:, 2] == -2).all()


def test_the_joint_density_of_the_mixture_is_torchs() -> None:
    z, y = points(60, noise=1.0)
    mixture = Mixture(3, 4, 3).double()
    learn(mixture, z, y, y, 1.0, 3)
    covariance = torch.linalg.inv(mixture.whiten.transpose(1, 2) @ mixture.whiten)
    normal = torch.distributions.MultivariateNormal(mixture.mu, covariance)
    torch.testing.assert_close(mixture.log_joint(z), normal.log_prob(z[:, None]) + mixture.alpha.log())


def test_a_labelled_point_starts_with_its_class_and_others_with_the_nearest_centre() -> None:
    z = torch.tensor([[0.0], [1.0], [10.0], [0.4], [2.0], [8.0]])
    y = torch.tensor([0, 0, 1, 1, -1, -1])  # means 0.5 and 5.2; the fourth is of class 1, and nearer to that of 0
    assert start(z, y, 2).tolist() == [0, 0, 1, 1, 0, 1]


def test_a_larger_ridge_makes_rounder_components() -> None:
    data = Data(9, pool=60)
    methods: list[Any] = [fitted("sgmm", data, dim=3, ridge=ridge) for ridge in (0.5, 50.0)]
    tight, rounder = (method.mixture.whiten.abs().mean() for method in methods)
    assert rounder < 0.7 * tight
