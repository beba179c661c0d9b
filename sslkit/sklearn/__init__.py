"""The scikit-learn estimator: `SSLClassifier` trains as `sslkit run` does, on arrays or paths in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from sslkit.data.image import Array
from sslkit.sklearn.images import Range, eight_bits, numbers_in, paths_in, range_of
from sslkit.sklearn.labels import missing, numbered, sets_of
from sslkit.sklearn.training import fit, in_words
from sslkit.store import PathLike
from sslkit.training.multilabel import HALF

# parameter -> configuration key; what is None is decided as `sslkit run` decides it
KEYS = {
    "algorithm": "algo.name",
    "teacher": "teacher.name",
    "labeler": "labeler.name",
    "mixer": "mixer.name",
    "backbone": "backbone.name",
    "weights": "weights",
}


class SSLClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A semi-supervised image classifier: images whose label is `unlabeled` are the pool.

    Every image is trained on; none is set aside, and nothing is measured but by `score`.

    Args:
        algorithm, teacher, labeler, mixer, backbone, weights: names, as of `sslkit run`; None is decided as there.
        settings: any key of the configuration, as {"semi.steps": 200, "labeler.tau": 0.9}.
        image_shape: of one image where X is flat, (N, D): (H, W) or (H, W, 3); a -1 is computed, as by `reshape`.
        pixel_range: the values of black and white. None: uint8 as it is, booleans 0 and 1, other numbers from their
            least to their greatest in `fit`.
        unlabeled: the mark of an image without a label in y; None and NaN are marks, too, and in texts "-1".
        random_state: seed of the run; None draws one from numpy's global generator.
        runs: folder in which the run is kept, so that it is found again; None: a temporary one.
        plugins: files that register parts.
        verbose: show what `sslkit run` shows.

    After `fit`, `classes_` (C,) are the labels that there were, 0 to C - 1 where y is a matrix of 0 and 1; `run_` is
    the run's folder, None where it was not kept; `remarks_` what was said of data and training; `pixel_range_` black
    and white; `network_` what predicts. Images of another shape than square are seen in their middle square, of another
    size than `data.size` scaled.
    """

    def __init__(
        self,
        algorithm: str | None = None,
        *,
        teacher: str | None = None,
        labeler: str | None = None,
        mixer: str | None = None,
        backbone: str | None = None,
        weights: str | None = None,
        settings: Mapping[str, Any] | None = None,
        image_shape: Sequence[int] | None = None,
        pixel_range: Range = None,
        unlabeled: Any = -1,
        random_state: Any = 0,
        runs: PathLike | None = None,
        plugins: Sequence[PathLike] = (),
        verbose: bool = False,
    ) -> None:
        self.algorithm = algorithm
        self.teacher = teacher
        self.labeler = labeler
        self.mixer = mixer
        self.backbone = backbone
        self.weights = weights
        self.settings = settings
        self.image_shape = image_shape
        self.pixel_range = pixel_range
        self.unlabeled = unlabeled
        self.random_state = random_state
        self.runs = runs
        self.plugins = plugins
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any) -> SSLClassifier:
        """Train on images X and labels y (N,), or (N, C) of 0 and 1 where an image may have several.

        Args:
            X: (N, H, W), (N, H, W, 1) or (N, H, W, 3) numbers, (N, D) flat ones, or N paths of image files.

        Raises:
            ValueError: anything in X, y or the parameters that cannot be, in one sentence.
        """
        paths = paths_in(X)
        images: Any = paths if paths is not None else numbers_in(self, X, self.image_shape, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        check_consistent_length(images, y)
        sets = sets_of(y, self.unlabeled)
        self.multilabel_ = sets is not None
        if sets is None:
            self.classes_, label = numbered(y, self.unlabeled)
            names = [str(name) for name in self.classes_.tolist()]
        else:
            self.classes_, (label, names) = np.arange(np.asarray(y).shape[1]), sets
        self.pixel_range_ = range_of(images, self.pixel_range) if paths is None else None
        images = eight_bits(images, self.pixel_range_) if paths is None else paths
        kept = nullcontext(self.runs) if self.runs is not None else tempfile.TemporaryDirectory(prefix="sslkit-")
        with in_words(), kept as runs:
            found = fit(
                images,
                label,
                names,
                self._request() | ({"data.multilabel": True} if self.multilabel_ else {}),
                runs,
                mark=self.unlabeled,
                plugins=self.plugins,
                verbose=self.verbose,
            )
        self.network_, self.remarks_ = found.network, found.remarks
        self.run_ = found.folder if self.runs is not None else None
        return self

    def _request(self) -> dict[str, Any]:
        """The configuration that is asked for, by key."""
        asked = {key: value for name, key in KEYS.items() if (value := getattr(self, name)) is not None}
        settings = dict(self.settings or {})
        section = {key.removesuffix(".name") for key in asked}
        twice = sorted({*settings} & ({*asked, "seed"} | section))
        if twice:
            raise ValueError(f"settings has {twice[0]!r}, which is a parameter of its own: leave one")
        seed = self.random_state
        if not isinstance(seed, int | np.integer):
            seed = check_random_state(seed).randint(2**31 - 1)
        return settings | asked | {"seed": int(seed)}

    def predict_proba(self, X: Any) -> Array:
        """(N, C) probabilities, in the order of `classes_`, by the averaged network, without augmentation; of several
        labels an image each by itself.

        Raises:
            NotFittedError: before `fit`.
            ValueError: images that cannot be read, or are not as those of `fit`.
        """
        check_is_fitted(self, "network_")
        images: Any = paths_in(X)
        if images is None:
            images = eight_bits(numbers_in(self, X, self.image_shape, reset=False), self.pixel_range_)
        with in_words():
            return self.network_.probabilities(images)

    def predict(self, X: Any) -> Array:
        """(N,) the most probable label of each image; (N, C) of 0 and 1 where it may have several, 1 from probability
        0.5. Raises as `predict_proba`.
        """
        p = self.predict_proba(X)
        if self.multilabel_:
            return (p >= HALF).astype(np.int64)
        found: Array = self.classes_[p.argmax(1)]
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy on the images that have a label; of several that of whole rows, as scikit-learn has it.

        Raises:
            ValueError: none has one; as `predict_proba`.
        """
        label = np.asarray(y)
        known = ~missing(label.reshape(-1), self.unlabeled).reshape(len(label), -1).any(1)
        if not known.any():
            raise ValueError("y has no label to score on")
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(accuracy_score(label[known], self.predict(X)[known], sample_weight=weight))
