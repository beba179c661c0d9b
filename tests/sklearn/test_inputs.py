"""What `SSLClassifier` takes for images and labels, and what it refuses in one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslkit.data.image import Array
from sslkit.sklearn.images import eight_bits, paths_in, range_of
from sslkit.sklearn.labels import numbered

from .conftest import small

Digits = tuple[Array, Array]


@pytest.mark.parametrize("form", ["(N, H, W)", "(N, H, W, 1)", "(N, H, W, 3)", "(N, D)", "(N, D) colour", "paths"])
def test_forms_of_images_give_the_same_predictions(form: str, digits: Digits, tmp_path: Path) -> None:
    X, y = digits
    colour = np.repeat(X[..., None], 3, 3)
    for i, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    asked: dict[str, tuple[Any, Any]] = {
        "(N, H, W)": (X, None),
        "(N, H, W, 1)": (X[..., None], None),
        "(N, H, W, 3)": (colour, None),
        "(N, D)": (X.reshape(80, -1), (8, 8)),
        "(N, D) colour": (colour.reshape(80, -1), (8, 8, 3)),
        "paths": ([tmp_path / f"{i}.png" for i in range(80)], None),
    }
    plain = small().fit(X, y).predict_proba(X)
    given, shape = asked[form]
    assert np.array_equal(small(image_shape=shape).fit(given, y).predict_proba(given), plain)


def test_numbers_become_pixels_between_black_and_white() -> None:
    floats = np.array([0.0, 4, 8, 16])
    assert eight_bits(floats, range_of(floats, None)).tolist() == [0, 64, 128, 255]
    assert eight_bits(floats, range_of(floats, (0, 32))).tolist() == [0, 32, 64, 128]
    assert range_of(np.zeros(3, np.uint8), None) is None
    assert eight_bits(np.array([True, False]), range_of(np.array([True]), None)).tolist() == [255, 0]
    assert eight_bits(np.full(3, 7.0), range_of(np.full(3, 7.0), None)).tolist() == [0, 0, 0]
    with pytest.warns(UserWarning, match="50% of the values lie outside the range of pixels, 4 to 16"):
        assert eight_bits(np.array([0.0, 16]), (4.0, 16.0)).tolist() == [0, 255]
    with pytest.raises(ValueError, match="fit has seen images of uint8, and these are float64"):
        eight_bits(floats, None)
    with pytest.raises(ValueError, match="the lower first"):
        range_of(floats, (1, 0))


def test_paths_are_texts_in_a_list_an_array_or_one_column() -> None:
    here = [str(Path("a.png").absolute()), str(Path("b.png").absolute())]
    for X in (["a.png", "b.png"], [Path("a.png"), Path("b.png")], np.array(["a.png", "b.png"])):
        assert paths_in(X) == here
    assert paths_in(np.array([["a.png"], ["b.png"]], object)) == here
    assert paths_in(np.array([[1.0, 2], [3, 4]], object)) is None
    assert paths_in([[1, 2], [3, 4]]) is None


@pytest.mark.parametrize(
    ("y", "classes", "label"),
    [
        ([2, -1, 7, 2], [2, 7], [0, -1, 1, 0]),
        ([2.0, np.nan, 7, -1], [2, 7], [0, -1, 1, -1]),
        (["b", "-1", "a"], ["a", "b"], [1, -1, 0]),
        (np.array(["b", None, "a", -1, np.nan], object), ["a", "b"], [1, -1, 0, -1, -1]),
        (np.array([3, None, 1], object), [1, 3], [1, -1, 0]),
        ([True, False, True], [False, True], [1, 0, 1]),
    ],
)
def test_labels_and_their_marks(y: Any, classes: list[Any], label: list[int]) -> None:
    found, number = numbered(np.asarray(y), -1)
    assert found.tolist() == classes
    assert number.tolist() == label


def test_a_mark_of_ones_own() -> None:
    assert numbered(np.array(["b", "?", "a", "-1"]), "?")[1].tolist() == [2, -1, 1, 0]
    assert numbered(np.array([5, 99, -1]), 99)[1].tolist() == [1, -1, 0]


@pytest.mark.parametrize(
    ("y", "said"),
    [
        ([-1, -1], "y has no label: all 2 are -1 or missing"),
        ([1, -1], "labels of one class only, 1; classification needs two"),
        ([1.5, 2.5], "Unknown label type: continuous"),
        ([1.0, np.inf], "contains infinity"),
        (np.array([1, "a"], object), "types that cannot be sorted together"),
    ],
)
def test_labels_that_are_none(y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        numbered(np.asarray(y), -1)


@pytest.mark.parametrize(
    ("asked", "shape", "said"),
    [
        ({}, (80, 64), "flat images of 64 features need image_shape"),
        ({"image_shape": (9, 8)}, (80, 64), r"X has 64 features, which make no image of image_shape=\(9, 8\)"),
        ({}, (80, 1, 8, 8), "puts the channels last"),
        ({"algorithm": "fixmach"}, (80, 8, 8), "unknown algorithm 'fixmach', did you mean 'fixmatch'"),
        ({"settings": {"semi.stepz": 1}}, (80, 8, 8), "semi.stepz"),
        ({"settings": {"algo": "uda"}}, (80, 8, 8), "settings has 'algo', which is a parameter of its own"),
        ({"settings": {"seed": 1}}, (80, 8, 8), "settings has 'seed', which is a parameter of its own"),
    ],
)
def test_what_cannot_be_is_a_sentence(asked: Any, shape: tuple[int, ...], said: str, digits: Digits) -> None:
    X, y = digits
    with pytest.raises(ValueError, match=said) as raised:
        small(**asked).fit(X.reshape(shape), y)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.__cause__ is None


def test_a_path_that_is_no_image(digits: Digits, tmp_path: Path) -> None:
    X, y = digits
    with pytest.raises(ValueError, match="no image file"):
        small().fit([tmp_path / f"{i}.png" for i in range(80)], y)
    fitted = small().fit(X, y)
    with pytest.raises(ValueError, match="no image file"):
        fitted.predict([tmp_path / "none.png"])


def test_predicted_images_have_as_many_features(digits: Digits) -> None:
    X, y = digits
    fitted = small(image_shape=(8, 8)).fit(X.reshape(80, 64), y)
    assert fitted.n_features_in_ == 64
    with pytest.raises(ValueError, match="X has 16 features, but SSLClassifier is expecting 64"):
        fitted.predict(X.reshape(80, 64)[:, :16])
