"""What of classes is settled once the data are split: what is said of them, and sets of labels become targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sslkit.config import Config
from sslkit.data import Images, imbalance, label_sets, weighing
from sslkit.data.open_set import unlabelled_classes
from sslkit.data.splits import Split
from sslkit.errors import UserError


def settled(images: Images, places: Split, config: Config) -> tuple[Images, list[str]]:
    """The images with their classes, and remarks.

    Of images with several labels the classes so far are sets of labels; they are the labels from here on.

    Raises:
        UserError: there is one label only, or a stage asks for images of one class each.
    """
    data = config.data
    if not data.multilabel:
        counts = np.bincount(images.label[places.labeled], minlength=len(images.classes)).tolist()
        said = [
            *imbalance.said(images, places.labeled, places.pool, data),
            *weighing.said(data, counts, images.classes),
        ]
        return images, [*unlabelled_classes(images, places.labeled), *said]
    classes, has = label_sets.table(images.classes)
    if len(classes) < 2:
        raise UserError(f"there is only one label, {classes[0]!r}; an image without it needs no multilabel")
    counts = has[images.label[places.labeled]].sum(0)
    without = [name for name, n in zip(classes, counts.tolist(), strict=True) if not n]
    mean = float(has[images.label[places.labeled]].sum(1).mean())
    said = [f"multilabel: {mean:.2f} labels an image, {len(classes)} classes, each with a sigmoid"]
    said += [f"classes without a labelled image, which will not be predicted: {', '.join(without)}"] if without else []
    return replace(images, classes=classes, sets=has), said
