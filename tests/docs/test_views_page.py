"""docs/views.md: its example in Python runs as it stands, and needs nothing of sslkit but the augmentation."""

from __future__ import annotations

import subprocess
import sys

from .page import blocks

PAGE = "docs/views.md"
ALONE = ("sslkit.augment", "sslkit.randomness", "sslkit.registry", "sslkit.version", "sslkit.errors", "sslkit.plugins")


def test_its_example_runs_and_takes_nothing_else_of_sslkit() -> None:
    (example,) = blocks(PAGE, "python")
    small = example.replace("(64, 3, 224, 224)", "(4, 3, 32, 32)").replace("(64", "(4")
    after = "import sys; print(*sorted(m for m in sys.modules if m.startswith('sslkit.')), strong.shape, own.dtype)"
    done = subprocess.run([sys.executable, "-c", small + after], capture_output=True, text=True, check=True)
    modules = [word for word in done.stdout.split() if word.startswith("sslkit.")]
    assert modules
    assert all(module.startswith(ALONE) for module in modules)
    assert done.stdout.endswith("torch.Size([4, 3, 32, 32]) torch.float32\n")
