"""What of classes is settled once the data are split: what is said of them, and sets of labels become targets."""

from __future__ import annotations

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
        said = [
            *imbalance.said(images, places.labeled, places.pool, data),
            *weighing.said(data, images.counts(places.labeled), images.classes),
        ]
        return images, [*unlabelled_classes(images, places.labeled), *said]
    images = label_sets.apart(images)
    classes, counts = images.classes, images.counts(places.labeled)
    if len(classes) < 2:
        raise UserError(f"there is only one label, {classes[0]!r}; an image without it needs no multilabel")
    without = [name for name, n in zip(classes, counts, strict=True) if not n]
    mean = sum(counts) / len(places.labeled)
    said = [f"multilabel: {mean:.2f} labels an image, {len(classes)} classes, each with a sigmoid"]
    said += [f"classes without a labelled image, which will not be predicted: {', '.join(without)}"] if without else []
    return images, said
