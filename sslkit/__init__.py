"""sslkit: semi-supervised image classification.

    import sslkit
    run = sslkit.run({"data.labels": "10/class"}, algo="ema_teacher", mixer="prob_pseudo", backbone="vit_micro")

`register` makes a class a part; the contracts are in `sslkit.contracts`. Importing this does not import torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sslkit.registry import register
from sslkit.version import __version__

if TYPE_CHECKING:
    from sslkit.pipeline import Run, run

__all__ = ["Run", "__version__", "register", "run"]


def __getattr__(name: str) -> Any:
    if name in ("Run", "run"):  # torch is imported when it is needed
        from sslkit import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'sslkit' has no attribute {name!r}")
