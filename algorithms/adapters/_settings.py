"""Settings of training that suit adapters: few weights train, from pre-trained ones."""

from collections.abc import Mapping
from typing import Any

# rate and decay of V-PET's grid (2503.09707); no layer is held back, as the frozen weights hold what was learned
FEW: Mapping[str, Any] = {
    "finetune.lr": 1e-3,
    "semi.lr": 1e-3,
    "control.lr": "auto",
    "finetune.weight_decay": 5e-4,
    "semi.weight_decay": 5e-4,
    "finetune.layer_decay": 1.0,
}
