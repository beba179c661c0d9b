"""Make a store as this version leaves it, to be kept: `python -m tests.kept.make tests/kept/NAME.tar.xz`.

In it are photographs of three digits, a network of 700 weights in a plug-in file, a finished run with control arm and
validation part, a comparison with its table as JSON, a run that was stopped in the middle of its last stage, and the
weights that this stage would have ended with (`whole.safetensors`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

from sslkit import cli
from sslkit.training.engine import Engine

HERE = Path(__file__).parent
SHORT = [f"--set={stage}.{key}" for stage in ("finetune", "semi") for key in ("steps=20", "batch=8", "lr=0.1")]
DATA = ["--data", "folder:photos", "--labels", "4/class", "--plugin", "tiny.py", *SHORT]
ALONE = [*DATA, "--backbone", "tiny", "--threads", "1", "--precision", "fp32"]
FINISHED = ["run", *ALONE, "--algo", "ema_teacher", "--mixer", "prob_pseudo", "--val", "0.25", "--control"]
CUT = ["run", *ALONE, "--algo", "flexmatch", "--seed", "1"]
ARMS = ["--algo", "fixmatch,ema_teacher", "--seeds", "2", "--set=backbone.name=tiny", "--set=precision=fp32"]


def photos(root: Path) -> None:
    digits = load_digits()
    for number, name in enumerate(("zero", "one", "two")):
        for k, i in enumerate((digits.target == number).nonzero()[0][:35]):
            file = root / ("train" if k < 25 else "test") / name / f"{k:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((digits.images[i] * 15.9).astype("uint8")).save(file)


def call(*arguments: str, code: int = 0) -> None:
    sys.argv = ["sslkit", *arguments]  # which a run stores
    assert cli.main([*arguments]) == code, arguments


def stopped() -> None:
    """Train `CUT` until the middle of its last stage."""
    real = Engine.step

    def step(self: Engine, index: int, log: object) -> None:
        real(self, index, log)  # type: ignore[arg-type]
        if self.spec.stage == "semi" and index == 9:
            self.stop = lambda: True

    Engine.step = step  # type: ignore[method-assign]
    call(*CUT, code=130)
    Engine.step = real  # type: ignore[method-assign]


def keep(archive: Path) -> None:
    """The files of the folder, without what is made anew when it is missing."""
    for path in Path("runs").rglob("events.out.*"):
        path.unlink()
    for folder in ("runs/data", "runs/.claims"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree("whole")
    with tarfile.open(archive, "w:xz") as file:
        for path in sorted(Path().iterdir()):
            file.add(path)


def main(archive: Path) -> None:
    folder = Path(tempfile.gettempdir(), "kept")  # it stands in the files
    folder.mkdir()
    os.chdir(folder)
    shutil.copy(HERE / "tiny.py", "tiny.py")
    photos(Path("photos"))
    call(*FINISHED)
    call("compare", *DATA, *ARMS, "--out", "table.json")
    call(*CUT, "--runs", "whole")
    results = json.loads(next(Path("whole").glob("*/results.json")).read_text("utf-8"))
    shutil.copy(f"whole/stages/{results['stages'][-1]['key']}/weights.safetensors", "whole.safetensors")
    stopped()
    keep(archive)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
