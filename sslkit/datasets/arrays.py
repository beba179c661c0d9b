"""Arrays in one NPZ file, `arrays:FILE`: images, or the paths of images, and labels, as `numpy.savez` writes them."""

from zipfile import BadZipFile

import numpy as np

from sslkit.data import Dataset, Raw
from sslkit.data.image import Array
from sslkit.errors import UserError, one_line
from sslkit.registry import register
from sslkit.store import anywhere


@register("dataset")
class Arrays(Dataset):
    """The file holds `images`, `label` and `classes`; all images are of the training part.

    `images` is uint8 (N, H, W) or (N, H, W, 3), or (N,) texts, paths that are relative to the file; `label` (N,) whole
    numbers of classes, -1 where there is none; `classes` (C,) texts, the name of each class. With
    `multilabel` a class is a set of labels, with semicolons between them.
    """

    argument = "file"

    def __init__(self, *, file: str, multilabel: bool = False) -> None:
        self.file = anywhere.place(file)

    def read(self) -> tuple[list[str], Raw, Raw]:
        images, label, classes = self._opened()
        if images.dtype.kind != "U" and not (images.dtype == np.uint8 and images.shape[1:][2:] in ((), (3,))):
            raise self._wrong(f"images is {images.dtype} {images.shape}; right is uint8 (N, H, W) or (N, H, W, 3)")
        if label.dtype.kind not in "iu" or label.shape != images.shape[:1] or not len(label):
            raise self._wrong(f"label is {label.dtype} {label.shape}; right is a whole number for each of the images")
        if classes.dtype.kind != "U" or not -1 <= label.min() <= label.max() < len(classes):
            raise self._wrong("classes must be texts, one for each number from 0 in label")
        names = [str(name) for name in classes]
        shown = [str(path) for path in images] if images.dtype.kind == "U" else images
        whole = Raw(shown, label.astype(np.int64), root=self.file.parent)
        return names, whole, whole.take(np.empty(0, np.int64), "train")

    def _opened(self) -> tuple[Array, Array, Array]:
        if not self.file.is_file():
            raise UserError(f"no file {str(self.file)!r}")
        try:
            with anywhere.opened(self.file) as file, np.load(file, allow_pickle=False) as found:
                return found["images"], found["label"], found["classes"]
        except KeyError as error:
            raise self._wrong(f"it lacks an array: {error.args[0]}") from None
        except (OSError, ValueError, BadZipFile, AttributeError, TypeError) as error:
            raise self._wrong(f"it cannot be read as numpy.savez writes it: {one_line(error)}") from None

    def _wrong(self, why: str) -> UserError:
        return UserError(f"{self.file}: {why}")
