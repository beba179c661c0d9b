"""COCO with labels of images: annotations that have a category and no box, as of iNaturalist, LILA and Datumaro.

https://cocodataset.org/#format-data
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslkit.errors import UserError
from sslkit.labelling.entries import SHAPES, Entry, kinds
from sslkit.labelling.parts import entry_of, files_of, part_of
from sslkit.labelling.source import Source

NAME = "coco"
TITLE = "COCO"


def knows(source: Source) -> bool:
    files = files_of(source)
    return bool(files) and all(_is_coco(file.json) for file in files)


def read(source: Source) -> list[Entry]:
    """The images, of a folder those of all files in its `annotations`.

    Raises:
        UserError: an annotation is of an image or category that is not listed.
    """
    files = files_of(source)
    return [entry for file in files for entry in _images(file, part_of(file) if len(files) > 1 else "")]


def _is_coco(content: Any) -> bool:
    return isinstance(content, Mapping) and isinstance(content.get("images"), list) and "annotations" in content


def _images(source: Source, part: str) -> list[Entry]:
    content = source.json
    try:
        names = {one["id"]: str(one["name"]) for one in content.get("categories") or []}
        classes = {image["id"]: list[str]() for image in content["images"]}
        lost = {image["id"]: list[str]() for image in content["images"]}
        for one in content["annotations"]:
            if _has_shape(one):
                lost[one["image_id"]].append(SHAPES)
            else:
                classes[one["image_id"]].append(names[one["category_id"]])
        images = [(image["id"], str(image["file_name"])) for image in content["images"]]
    except (KeyError, TypeError) as error:
        raise UserError(f"{source.said}: an annotation or image lacks, or is of none that is listed: {error}") from None
    return [entry_of(name, (tuple(classes[i]),), part, kinds(lost[i])) for i, name in images]


def _has_shape(annotation: Mapping[str, Any]) -> bool:
    """Whether it has a box of some size, a mask or points."""
    box = annotation.get("bbox") or ()
    return any(box[2:4]) or bool(annotation.get("segmentation")) or bool(annotation.get("keypoints"))
