"""`SSLClassifier` is `sslkit run` in scikit-learn's clothes: the same predictions, and what its users expect."""

import csv
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

import sslkit
from sslkit.cli import main
from sslkit.data.image import Array

from .conftest import FEW, small

Digits = tuple[Array, Array]


def test_its_predictions_are_those_of_sslkit_predict(digits: Digits, tmp_path: Path) -> None:
    X, y = digits
    for i, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{i:03}.png")
    apart = {"eval.decay": 0.9, "semi.lr": 0.02, "finetune.lr": 0.02}  # the averaged network is not the student
    fitted = small(runs=tmp_path / "runs", random_state=3, settings=apart).fit(X, y)
    images = sorted(str(file) for file in tmp_path.glob("*.png"))
    assert main(["predict", str(fitted.run_), *images, "--all", "--out", str(tmp_path / "p.csv")]) == 0
    with (tmp_path / "p.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert [int(row["class"]) for row in rows] == fitted.predict(X).tolist()
    theirs = np.array([[float(row[str(c)]) for c in fitted.classes_] for row in rows])
    assert np.abs(theirs - fitted.predict_proba(X)).max() <= 0.5e-4, "they are written with four places"
    assert np.ptp(theirs) > 0.01
    assert np.array_equal(fitted.predict_proba(images), fitted.predict_proba(X)), "paths of the same pixels"


def test_its_run_is_that_of_sslkit_run(digits: Digits, tmp_path: Path) -> None:
    X, y = digits
    fitted = small(runs=tmp_path / "a", random_state=3, mixer="pseudo", algorithm="ema_teacher").fit(X, y)
    (file,) = (tmp_path / "a/data").glob("arrays-*.npz")
    asked = {"data.name": f"arrays:{file}", "data.test": "none", "backbone": "wrn_10_1", "mixer": "pseudo", **FEW}
    other = sslkit.run(asked, algo="ema_teacher", seed=3, runs=tmp_path / "b")
    mine = sslkit.run(config=fitted.run_, runs=tmp_path / "a")
    assert mine.folder == fitted.run_, "it is found again, finished"
    assert [row["key"] for row in mine.results["stages"]] == [row["key"] for row in other.results["stages"]]


def test_a_pickle_holds_weights_and_no_path(digits: Digits) -> None:
    X, y = digits
    fitted = small().fit(X, y)
    assert fitted.run_ is None
    kept = pickle.dumps(fitted)
    assert b"sslkit-" not in kept, "the temporary folder"
    assert len(kept) > 4 * sum(p.numel() for p in fitted.network_.predictor.network.parameters())
    assert np.array_equal(pickle.loads(kept).predict_proba(X), fitted.predict_proba(X))


def test_clones_are_not_fitted_and_a_seed_repeats(digits: Digits) -> None:
    X, y = digits
    fitted = small(random_state=1).fit(X, y)
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert np.array_equal(other.fit(X, y).predict_proba(X), fitted.predict_proba(X))
    assert not np.array_equal(other.set_params(random_state=2).fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_threads_are_left_as_they_were(digits: Digits) -> None:
    X, y = digits
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    small().fit(X, y).predict(X)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_in_a_pipeline_and_a_grid(digits: Digits) -> None:
    X, y = digits
    steps = Pipeline([("scale", StandardScaler()), ("ssl", small(image_shape=(8, 8)))])
    grid = GridSearchCV(steps, {"ssl__algorithm": ["fixmatch", "supervised"]}, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grid.fit(X.reshape(80, 64), y)
    assert grid.best_params_["ssl__algorithm"] in ("fixmatch", "supervised")
    assert grid.predict(X.reshape(80, 64)).shape == (80,)
    assert 0 <= grid.best_score_ <= 1


def test_score_leaves_out_what_has_no_label(digits: Digits) -> None:
    X, y = digits
    fitted = small().fit(X, y)
    assert fitted.score(X, y) == (fitted.predict(X[:40]) == y[:40]).mean()
    with pytest.raises(ValueError, match="no label to score on"):
        fitted.score(X, np.full(80, -1))


def test_without_a_pool_the_labels_are_trained_on_and_that_is_said(digits: Digits) -> None:
    X, y = digits
    with pytest.warns(UserWarning, match="no image is without a label, so the labels alone are trained on"):
        fitted = small().fit(X[:40], y[:40])
    assert fitted.network_.spec.stage == "finetune"
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fitted = small(settings={"data.pool": "all", "labeler.tau": 0.05}).fit(X[:40], y[:40])
    assert fitted.network_.spec.stage == "semi"


def test_what_is_amiss_in_a_run_is_warned_of(digits: Digits) -> None:
    X, y = digits
    never = {"labeler.tau": 0.999999, "semi.steps": 60, "finetune.steps": 1}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fitted = small(settings=never).fit(X, y)
    assert any("no pseudo-label was kept in" in str(warning.message) for warning in said)
    assert any("no pseudo-label was kept in" in sentence for sentence in fitted.remarks_)


@pytest.mark.parametrize("algorithm", ["knn", "linear"])
def test_methods_on_frozen_features(algorithm: str, digits: Digits) -> None:
    X, y = digits
    fitted = small(algorithm=algorithm).fit(X, y)
    assert fitted.predict_proba(X).sum(1).tolist() == pytest.approx([1.0] * 80)
    assert fitted.score(X, y) > 0.3


def test_a_validation_part_needs_no_test(digits: Digits) -> None:
    X, y = digits
    asked = {"data.val": 0.25, "eval.patience": 1, "semi.steps": 60, "semi.lr": 1e-5}
    fitted = small(settings=asked).fit(X, y)
    assert fitted.network_.spec.data["val"][0] >= 8
    assert any("ended at step" in sentence for sentence in fitted.remarks_)


def test_every_image_is_trained_on(digits: Digits) -> None:
    X, y = digits
    spec = small().fit(X, y).network_.spec
    assert (spec.data["labeled"][0], spec.data["pool"][0], spec.data["test"][0]) == (40, 40, 0)
