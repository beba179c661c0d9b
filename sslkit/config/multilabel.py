"""Images with several labels each: which parts and stages can be had for them."""

from __future__ import annotations

from collections.abc import Mapping

from sslkit import registry
from sslkit.config import Config
from sslkit.errors import UserError, listed


def check(config: Config, parts: Mapping[str, type | None]) -> None:
    """Refuse what knows one class an image only.

    Raises:
        UserError: names it, and what can be had.
    """
    if not config.data.multilabel:
        return
    for section, kind in (("algo", "algorithm"), ("labeler", "labeler")):
        cls = parts[section]
        if cls is not None and not getattr(cls, "multilabel", False):
            all_names = [entry.name for entry in registry.entries(kind)]
            able = [name for name in all_names if getattr(registry.load(kind, name), "multilabel", False)]
            name = getattr(config, section).name
            raise UserError(f"{kind} {name!r} knows one class an image; for several labels there are {listed(able)}")
    if config.mixer and not getattr(parts["mixer"], "joinable", False):
        raise UserError(f"mixer {config.mixer.name!r} mixes images of one class each; several labels need --mixer none")
    stages = {"finetune": config.finetune, "semi": config.semi}
    mixed = [f"{name}.{key}" for name, own in stages.items() for key in ("mixup", "cutmix") if getattr(own, key)]
    if mixed:
        raise UserError(f"{mixed[0]} mixes images of one class each; set it to 0 for several labels")
    if config.predictions:
        raise UserError("predictions are of one class an image; drop them, or data.multilabel")
