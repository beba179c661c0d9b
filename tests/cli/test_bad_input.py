"""Whatever cannot be is answered in one clear line, with exit code 2, and leaves nothing behind."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

from sslkit import registry
from sslkit.data import Images, decoding
from sslkit.data.decoding import decode
from sslkit.terminal import screen
from sslkit.training.loader import Loader
from tests.cli.call import assert_refused, run, sslkit

PLUGINS = Path(__file__).parents[1] / "plugins"


@cache
def decoded(size: int) -> Images:
    classes, train, test = registry.load("dataset", "digits")().read()
    return decode(classes, train, test, size=size)


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digits are decoded once for a hundred requests."""
    monkeypatch.setattr(decoding, "decode", lambda *parts, **how: decoded(parts[3]))
    monkeypatch.setattr(decoding, "median_size", lambda *_: 8)


def put(key: str) -> list[str]:
    return ["--set", key]


# Each line: arguments after `sslkit run` on a tiny request, and words that the answer has.
RUN: list[tuple[list[str], str]] = [
    # names
    (["--algo", "fixmatc"], "did you mean 'fixmatch'"),
    (["--algo", ""], "unknown algorithm ''"),
    (["--algo", "../fixmatch"], "unknown algorithm"),
    (["--algo", "fixmatch:3"], "fixmatch"),
    (["--algo", "[/red]"], "unknown algorithm '[/red]'"),
    (["--algo", "_x"], "unknown algorithm '_x'"),
    (["--teacher", "em"], "did you mean 'ema'"),
    (["--labeler", "treshold"], "did you mean 'threshold'"),
    (["--mixer", "prob-pseudo"], "did you mean 'prob_pseudo'"),
    (["--mixer", "auto"], "unknown mixer 'auto'"),
    (["--backbone", "vit_mikro"], "did you mean 'vit_micro'"),
    (["--backbone", "vit_micro:3"], "vit_micro"),
    (["--backbone", "_timm"], "unknown backbone"),
    (["--backbone", "timm:resnet19"], "resnet18"),
    (["--backbone", "timm:"], "timm"),
    (["--backbone", "timm"], "timm"),
    (["--backbone", "timm:hf_hub:a/b"], "hf_hub"),
    (["--data", "digit"], "did you mean 'digits'"),
    (["--data", "digits:x"], "nothing after a colon"),
    (["--data", "parquet"], "parquet:DIR"),
    (["--data", "parquet:"], "parquet:DIR"),
    (["--data", "parquet:gone"], "no folder or file gone"),
    (["--data", "parquet:empty"], "holds no *.parquet"),
    (["--data", ""], "unknown dataset ''"),
    # keys and values
    (put("semi.lr"), "KEY=VALUE"),
    (put("=3"), "KEY=VALUE"),
    (put("semi.lrr=3"), "'semi.lr'"),
    (put("semi=3"), "semi"),
    (put("semi.lr.x=3"), "unknown key"),
    (put("a.b.c=3"), "unknown key"),
    (put(".=3"), "unknown key"),
    (put("semi.lr=fast"), "semi.lr must be a number, got 'fast'"),
    (put("semi.lr=-1"), "semi.lr must be 0 or more"),
    (put("semi.lr=nan"), "semi.lr must be a number"),
    (put("semi.lr=inf"), "semi.lr"),
    (put("semi.lr=[1]"), "semi.lr must be a number"),
    (put("semi.lr={a=1}"), "semi.lr must be a number"),
    (put("semi.steps=0"), "semi.steps must be 1 or more"),
    (put("semi.steps=1.5"), "semi.steps must be a whole number"),
    (put("semi.steps=true"), "semi.steps must be a whole number"),
    (put("semi.batch=0"), "semi.batch"),
    (put("semi.optimizer=lion"), "adamw, sgd"),
    (put("algo.name=3"), "algo"),
    (put("mixer=3"), "mixer"),
    (put("mixer.name=[1]"), "mixer"),
    (put("algo.lambda_u=-1"), "algo.lambda_u must be 0 or more"),
    (put("labeler.tau=2"), "labeler.tau"),
    (put("labeler.smoothing=1"), "labeler.smoothing"),
    (put("labeler.nope=1"), "labeler.tau"),
    (put("teacher.decay=2"), "decay"),
    (put("teacher.mode=off"), "eval, train"),
    (put("mixer.cutmix=2"), "mixer.cutmix"),
    (put("mixer.box=round"), "published, unbiased"),
    (put("eval.decay=1.5"), "eval.decay"),
    (put("data.tune=3"), "data.tune must be true or false"),
    (put("views.weak.shift=2"), "views.weak.shift"),
    (put("views.weak.flip=true"), "must not be mirrored"),
    (put("plugins.x=3"), "--plugin x"),
    (["--seed", "-1"], "seed must be from 0"),
    (["--seed", "one"], "'one' is not a valid integer"),
    (["--threads", "0"], "threads must be from 1"),
    (["--device", "gpu"], "did you mean 'cpu'"),
    (["--precision", "fp16"], "precision"),
    (["--size", "3"], "data.size must be from 4"),
    (["--size", "7"], "4 and 8"),
    (["--size", "100000"], "data.size"),
    (put("backbone.patch=3"), "6 and 9"),
    (put("backbone.patch=0"), "patch"),
    (put("backbone.patch=-4"), "patch"),
    (put("backbone.drop_path=1"), "backbone.drop_path"),
    (["--save-every", "often"], "often"),
    (["--save-every", "-5"], "save-every"),
    (["--save-every", "nan"], "save-every"),
    # labels and parts of the data
    (["--labels", "0"], "0 labels"),
    (["--labels", "0/class"], "0 labels"),
    (["--labels", "500/class"], "wants 500 images of class '0', which has 99"),
    (["--labels", "5000"], "which has 99"),
    (["--labels", "many"], "10/class, 40, 1% or all"),
    (["--labels", "101%"], "at most 100%"),
    (["--labels", "all"], "--pool all"),
    (["--pool", "some"], "complement"),
    (["--val", "1"], "data.val must be from 0"),
    (["--val", "nan"], "data.val"),
    (["--val", "0.5", "--labels", "1/class"], "at least two labelled images"),
    (["--tune", "--seed", "3"], "100 upward"),
    # combinations
    (["--algo", "supervised", "--mixer", "pseudo"], "has no mixer"),
    (["--algo", "supervised", *put("labeler.tau=0.5")], "has no labeler"),
    (["--algo", "mean_teacher", "--labeler", "threshold"], "has no labeler"),
    (["--algo", "fixmatch", "--teacher", "self", *put("teacher.decay=0.5")], "teacher.decay"),
    (["--algo", "fixmatch", "--mixer", "none", *put("mixer.box=unbiased")], "mixer.box"),
    (["--algo", "fixmatch", "--mixer", "pseudo", *put("algo.joint=true")], "--mixer none"),
    (["--algo", "fixmatch", "--teacher", "ema", *put("algo.joint=true")], "--teacher self"),
    (["--algo", "fixmatch", *put("teacher.mode=eval"), *put("algo.joint=true")], "teacher.mode=train"),
    ([*put("semi.batch=7"), *put("semi.accumulate=2")], "do not divide"),
    # files
    (["--config", "gone.toml"], "gone.toml"),
    (["--config", "empty"], "empty/config.toml"),
    (["--config", "torn.toml"], "not a TOML file"),
    (["--config", "key.toml"], "'semi.lr'"),
    (["--config", "x" * 5000], "File name too long"),
    (["--plugin", "gone.py"], "gone.py"),
    (["--plugin", "empty"], "empty"),
    (["--plugin", "torn.toml"], "must end in .py"),
    (["--plugin", f"{PLUGINS}/raises.py"], "RuntimeError: no [/red] camera"),
    (["--plugin", f"{PLUGINS}/leaves.py"], "leaves.py"),
    (["--plugin", f"{PLUGINS}/registers_nothing.py"], "registers no part"),
    (["--plugin", f"{PLUGINS}/wrong_kind.py"], "'mixer'"),
    (["--plugin", f"{PLUGINS}/second_none.py", "--algo", "fixmatch"], "two mixers are called 'none'"),
    (["--plugin", f"{PLUGINS}/no_part.py", "--algo", "fixmatch", "--mixer", "no_part"], "no_part"),
    (["--runs", "torn.toml"], "torn.toml"),
    (["--runs", "torn.toml/x"], "torn.toml"),
    (["--runs", ""], "--runs"),
    (["--again"], "not finished"),
    # the command itself
    (["extra"], "extra"),
    (["--nope"], "--nope"),
    (["--mixer"], "--mixer"),
]


def ident(case: tuple[list[str], str]) -> str:
    return " ".join(case[0])[:60].replace(str(PLUGINS), "") or "none"


@pytest.mark.usefixtures("remembered")
@pytest.mark.parametrize(("arguments", "words"), RUN, ids=map(ident, RUN))
def test_run_refuses(arguments: list[str], words: str) -> None:
    Path("empty").mkdir()
    Path("torn.toml").write_text("[semi\n")
    Path("key.toml").write_text("[semi]\nlrr = 3\n")
    before = sorted(Path().rglob("*"))
    assert_refused(run(*arguments), words)
    assert sorted(Path().rglob("*")) == before


OTHER = [
    (["rnu"], "did you mean"),
    (["show"], "RUN"),
    (["show", "gone"], "gone"),
    (["show", "gone", "extra"], "extra"),
    (["predict"], "RUN"),
    (["predict", "gone", "--test"], "gone is not a finished run"),
    (["predict", "gone"], "--test"),
    (["list", "mixxers"], "did you mean 'mixers'"),
    (["list", "mixers", "teachers"], "teachers"),
    (["list", "--plugin", "gone.py"], "gone.py"),
    (["show", "x" * 5000], "x"),
]


@pytest.mark.parametrize(("arguments", "words"), OTHER, ids=map(ident, OTHER))
def test_other_commands_refuse(arguments: list[str], words: str) -> None:
    call = sslkit(*arguments)
    assert call.code == 2
    assert len(call.err.strip().splitlines()) == 1
    assert words.lower() in call.err.lower()
    assert not list(Path().iterdir())


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert_refused(run("--device", device), "--device cpu")
    assert not Path("runs").exists()


@pytest.mark.parametrize("when", ["timing", "training"])
def test_too_little_memory_is_answered_with_what_to_lower(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's own refusal, of a batch that no machine holds."""

    def batch(*_: object) -> object:
        return torch.empty(1 << 50)

    if when == "training":
        monkeypatch.setattr(screen, "step_seconds", lambda *_: {})
    monkeypatch.setattr(Loader, "batch", batch)
    found = run()
    assert found.code == 2
    (line,) = [line for line in found.err.splitlines() if line.startswith("error: ")]
    assert "stage 'finetune' needs more memory than cpu has, with 8 labelled images of 8 px a step" in line
    for setting in ("finetune.accumulate", "finetune.batch", "--size"):
        assert setting in line
