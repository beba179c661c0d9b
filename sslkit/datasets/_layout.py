"""What each folder of a user's data is taken for, by its name and by what lies in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from sslkit.data.label_files import first
from sslkit.datasets._folders import class_names, images_among
from sslkit.errors import UserError

KINDS = {  # by name, in small letters without spaces, hyphens and underlines
    "training": r"train(ing)?|labell?ed",
    "test": r"test(ing)?",
    "validation": r"val(id(ation)?)?|dev",
    "unlabelled": r"unlabell?ed|unsupervised|nolabels?",
}
# Configuration for images of one's own: FixMatch's threshold and weight. Semi-ViT's (0.6 and 5) are for networks that
# are good before the semi stage; one that is not is sure of wrong labels.
CAUTIOUS = {"labeler.tau": 0.95, "algo.lambda_u": 1.0}


@dataclass(frozen=True)
class Layout:
    """The folders of each part, by name."""

    train: str  # "" is the folder itself
    classes: list[str]  # below `train`
    test: str | None
    unlabelled: list[str]
    spare: list[str]  # which are not used

    def __str__(self) -> str:
        said = [f"training images from {self.train}/" if self.train else "its folders are the classes"]
        said += [f"test images from {self.test}/"] if self.test else []
        said += [f"images without a label from {name}/" for name in self.unlabelled]
        said += [f"not used: {first(self.spare)}"] if self.spare else []
        return "; ".join(said)


def layout_of(root: Path) -> Layout:
    """The layout of a folder.

    Class folders lie in a training folder, or in `root` itself. A folder that is called as a training folder is a
    class where it stands beside other classes and holds no folder: cars, planes, train.

    Raises:
        UserError: two folders have the name of the same part.
    """
    names = class_names(root)
    kinds = {kind: [name for name in names if kind_of(name) == kind] for kind in KINDS}
    others = [name for name in names if not kind_of(name)]
    if kinds["training"] and others and not class_names(root / kinds["training"][0]):
        others, kinds["training"] = sorted([*others, *kinds["training"]]), []
    train, test = _only(root, kinds["training"], "training"), _only(root, kinds["test"], "test")
    validation = kinds["validation"]
    if not test and validation:
        test = _only(root, validation, "validation")
    spare = [name for name in validation if name != test] + (others if train else [])
    classes = class_names(root / train) if train else others
    return Layout(train or "", classes, test, kinds["unlabelled"], spare)


def innermost(root: Path) -> Path:
    """The folder that holds the parts or classes, where `root` holds it alone, as unpacked archives do."""
    names = class_names(root)
    alone = len(names) == 1 and not kind_of(names[0]) and class_names(root / names[0])
    if not alone or images_among(str(root), (entry.name for entry in os.scandir(root)), ""):
        return root
    return innermost(root / names[0])


def kind_of(name: str) -> str:
    """The kind of a folder that is called `name`, or ""."""
    plain = re.sub(r"[\W_]", "", name.lower())
    return next((kind for kind, said in KINDS.items() if re.fullmatch(f"({said})(set|data|images)?", plain)), "")


def _only(root: Path, names: list[str], kind: str) -> str | None:
    if len(names) > 1:
        raise UserError(f"{root} has several {kind} folders: {first(names)}; put their images into one")
    return names[0] if names else None
