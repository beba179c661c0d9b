"""Recipes beside the official programs' arguments, every one: compared, fixed here as there, or no setting."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sslkit.augment.policy import Policy
from sslkit.config import Flat, flatten
from sslkit.prepare.shown import shown
from sslkit.recipes import about, layers, recipes
from sslkit.training.optim import learning_rate
from tests.cli.call import assert_refused, sslkit
from tests.recipes.official import COMMANDS, DEFAULTS, FIXMATCH, Arguments
from tests.recipes.test_recipes import config_of, rate

# Arguments that no recipe sets, as they are fixed here: the value that is, and where.
FIXED: dict[str, tuple[Any, str]] = {
    "remode": ("pixel", "views.strong.erase_fill=noise"),
    "recount": (1, "one box"),
    "resplit": (False, "no clean split"),
    "cutmix_minmax": (None, "the ratio is of a Beta distribution"),
    "mixup_prob": (1.0, "every batch is mixed"),
    "mixup_mode": ("batch", "one ratio a batch"),
    "mixup_func": ("Mixup", "timm's, of labelled images"),
    "nb_classes": (1000, "of the data"),
    "anno_percent": (1.0, "index files say who is labelled"),
    "seed": (0, "of the run"),
    "super_finetune": ("", "the stage before is what semi starts from"),
    "no_super_finetune_ema": (False, "the teacher starts from the average of the stage before"),
    "no_finetune_ema": (False, "the same of ConvNeXt"),
    "head_lr_scalar": (1.0, "the head has the rate of the last layer"),
    "drop": (0.0, "no dropout"),
    "attn_drop_rate": (0.0, "no dropout"),
    "ema_momentum_decay": (False, "the decay of the average is constant"),
    "disable_x_drop_path": (False, "drop path is in both forward passes"),
    "opt_eps": (1e-8, "torch's"),
    "momentum": (0.9, "not of AdamW"),
    "weight_decay_end": (None, "weight decay is constant"),
    "warmup_steps": (-1, "warm-up is in epochs"),
    "layer_scale_init_value": (1e-6, "timm's"),
    "head_init_scale": (1.0, "timm's"),
    "train_interpolation": ("bicubic", "views.*.interpolation"),
    "crop_pct": (None, "224 of 256"),
    "imagenet_default_mean_and_std": (True, "data.stats=declared"),
    "model_ema_eval": (True, "the average is evaluated"),
    "use_amp": (True, "a deviation: bf16"),
    "weak_no_aug": (False, "views.weak"),
    "strong_no_re": (False, "semi.erase is of the strong view"),
}
# Arguments without effect where others are: jitter beside RandAugment, the average's decay without an average, the rate
# to be scaled beside one that is given, and how a network starts that starts from weights, or from the stage before.
WITHOUT_EFFECT = {"color_jitter", "model_ema_decay", "lr", "blr", "finetune", "init_scale"}
LABELS = {"train_1p_index.csv": "1%", "train_10p_index.csv": "10%"}
POOLS = {"train_99p_index.csv": "complement", "train_90p_index.csv": "complement"}
NETWORKS = {f"vit_{n}_patch{p}": f"vit_{n}" for n, p in (("base", 16), ("large", 16), ("huge", 14))}
NETWORKS |= {"convnext_tiny": "convnext_tiny"}
IMAGENET = 1_281_167
LABELED = {"1%": 12_811, "10%": 128_116}


class Read(dict[str, Any]):
    """Arguments that remember which of them were asked for."""

    def __init__(self, arguments: Arguments) -> None:
        super().__init__(arguments)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)


def official(name: str, stage: str) -> tuple[Read, int]:
    """The arguments of a stage of a recipe, and its number of GPUs."""
    program, gpus, said = COMMANDS[name][stage]
    assert said.keys() <= DEFAULTS[program].keys(), "a command has no argument that its program lacks"
    return Read(DEFAULTS[program] | said), gpus


def micro_batches(a: Read) -> int:
    found: int = a["accum_iter"] if "accum_iter" in a else a["update_freq"]
    return found


def in_keys(a: Read, gpus: int, stage: str) -> tuple[Flat, float]:
    """What the arguments are in keys of sslkit, and the learning rate after scaling."""
    batch = a["batch_size"] * gpus * micro_batches(a)
    semi, convnext = stage == "semi", "convnext" in a["model"]
    mixes = not (semi and a["disable_x_mixup"])
    lr = a["lr"] if a["lr"] is not None else a["blr"] * batch / 256
    if convnext and semi:
        lr = a["lr"] * batch / 256  # main_semi_conv.py scales what main_conv.py does not
    found: Flat = {
        f"{stage}.{key}": value
        for key, value in {
            "batch": batch,
            "layer_decay": a["layer_decay"],
            "epochs": a["epochs"],
            "warmup": a["warmup_epochs"] / a["epochs"],
            "min_lr": a["min_lr"],
            "weight_decay": a["weight_decay"],
            "beta2": (a["opt_betas"] or (0.9, 0.999))[1],
            "clip": a["clip_grad"] or 0,
            "optimizer": a["opt"] if convnext else "adamw",
            "schedule": "half_cosine",
            "smoothing": a["smoothing"],
            "mixup": a["mixup"] if mixes else 0,
            "cutmix": a["cutmix"] if mixes else 0,
            "drop_path": a["drop_path"],
            "erase": a["reprob"],
            "decay": a["model_ema_decay"] if a["model_ema"] else 0,
        }.items()
    }
    found |= {
        "backbone.name": NETWORKS[a["model"]],
        "data.size": a["input_size"],
        "data.crop": 224 / 256,
        "data.whole": True,
        "data.stats": "declared",
        "data.interpolation": "bicubic",
        "data.labels": LABELS[a["trainindex_x" if semi else "trainindex"]],
        "views.labeled": "strong",
    }
    strong = Policy(crop=0.08, flip=True, interpolation="bicubic", randaugment=a["aa"], erase_area=1 / 3)
    found |= flatten(strong, "views.strong.")  # erased by the stage
    assert a["mixup_switch_prob"] == 0.5  # of labelled images, fixed here
    if not convnext:
        found["backbone.pool"] = "token" if a["cls_token"] else "mean"
        found["backbone.pos_embed"] = "sincos" if a["use_fixed_pos_emb"] else "learned"
        if not semi:
            found["backbone.head_std"] = 2e-5 if a["finetune"] else 0.02 * a["init_scale"]
            found["weights"] = a["finetune"].rpartition("/")[2] or None
    if semi:
        jitter = dict.fromkeys(("brightness", "contrast", "saturation"), a["color_jitter"])
        pseudo = a["pseudo_mixup"] and max(a["mixup"], a["cutmix"]) > 0
        weak = replace(strong, randaugment=a["aa"] if a["weak_aa"] else "none", **jitter)
        found |= flatten(weak, "views.weak.")
        found |= {
            "data.pool": POOLS[a["trainindex_u"]],
            "semi.mu": a["mu"],
            "algo.name": "ema_teacher" if a["ema_teacher"] else "fixmatch",
            "algo.lambda_u": a["lambda_u"],
            "algo.burn_in": a["burnin_epochs"] / a["epochs"],
            "teacher.name": "ema" if a["ema_teacher"] else "self",
            "teacher.mode": "eval",
            "labeler.name": "threshold",
            "labeler.tau": a["threshold"],
            "labeler.smoothing": a["smoothing"] if pseudo else 0,
            "mixer.name": {"ProbPseudoMixup": "prob_pseudo"}[a["pseudo_mixup_func"]] if pseudo else "none",
            "mixer.cutmix": a["mixup_switch_prob"],
            "mixer.box": "published",
            "eval.decay": a["model_ema_decay"],
        }
    return found, lr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_of_the_official_commands_is_in_the_recipe(name: str) -> None:
    found, expected = flatten(config_of(name)), Flat()
    for stage in ("finetune", "semi"):
        arguments, gpus = official(name, stage)
        keys, lr = in_keys(arguments, gpus, stage)
        assert {key: (expected[key], keys[key]) for key in keys if expected.get(key, keys[key]) != keys[key]} == {}
        expected |= keys
        assert rate(getattr(config_of(name), stage)) == pytest.approx(lr, rel=1e-12)
        unread = set(arguments) - arguments.read - WITHOUT_EFFECT
        assert unread <= FIXED.keys(), f"neither compared nor fixed: {unread - FIXED.keys()}"
        other = {key: arguments[key] for key in unread if arguments[key] != FIXED[key][0]}
        assert other == {}, "not what is fixed here"
    apart = {key: (found[key], value) for key, value in expected.items() if found[key] != pytest.approx(value)}
    assert apart == {}
    rates = {f"{stage}.{key}" for stage in ("finetune", "semi") for key in ("lr", "scale_lr")}
    assert layers(name, None, {}).keys() <= expected.keys() | rates | {"stages", "data.name"}


@pytest.mark.parametrize("share", ["1p", "10p"])
def test_vit_small_is_that_of_vit_base_from_dino_and_says_so(share: str) -> None:
    small, base = (layers(f"semivit_{size}_{share}", None, {}) for size in ("small", "base"))
    assert {key for key in small | base if small.get(key) != base.get(key)} == {"backbone.name", "weights"}
    assert (small["backbone.name"], small["weights"]) == ("vit_small", "dino_deitsmall16_pretrain.pth")
    said = about(f"semivit_small_{share}")
    assert "By analogy: the paper's final ViT-S starts from DINO" in said["deviations"]
    assert f"that of semivit_base_{share}" in said["deviations"]
    assert "77.1 after semi" in said["published"]


@pytest.mark.parametrize("name", COMMANDS)
def test_warm_up_is_one_step_ahead_and_the_rest_is_the_published_schedule(name: str) -> None:
    """Against the programs' rule: for ViT by the fractional epoch, for ConvNeXt by a table of all steps."""
    for stage in ("finetune", "semi"):
        a, gpus = official(name, stage)
        lr = in_keys(a, gpus, stage)[1]
        each = 40  # steps an epoch
        total, rise = each * a["epochs"], each * a["warmup_epochs"]
        training = vars(getattr(config_of(name), stage)) | {"lr": lr}
        floor = a["min_lr"]
        for i in (0, 1, rise - 1, rise, rise + 1, total - 1):
            theirs = lr * i / (rise - 1 if "convnext" in name else rise)
            if i >= rise:
                theirs = floor + (lr - floor) * 0.5 * (1 + math.cos(math.pi * (i - rise) / (total - rise)))
            ahead = 0 if i >= rise else lr * (i + 1) / rise - theirs
            assert learning_rate(i, total, training) == pytest.approx(theirs + ahead, rel=1e-9)
            assert 0 <= ahead <= lr / rise * (1 + 1e-9)


@pytest.mark.parametrize("name", COMMANDS)
def test_keeping_the_last_batches_is_at_most_a_thousandth_more_steps(name: str) -> None:
    config = config_of(name)
    labeled = LABELED[config.data.labels]
    for stage, n in (("finetune", labeled), ("semi", IMAGENET - labeled)):
        arguments, gpus = official(name, stage)
        training = getattr(config, stage)
        batch, accumulate = arguments["batch_size"] * (training.mu if stage == "semi" else 1), micro_batches(arguments)
        theirs = arguments["epochs"] * (math.ceil(n / gpus) // batch // accumulate)
        ours = int(training.epochs * n) // (batch * gpus * accumulate)
        assert 1 <= ours / theirs <= 1.001
    assert "at most 0.1% more steps" in about(name)["deviations"]


def test_fixmatch_has_the_flags_of_the_official_program() -> None:
    f, found = Read(FIXMATCH), flatten(config_of("fixmatch_cifar10_250"))
    assert (f["scales"], f["repeat"], f["arch"], f["K"], f["p_unlabeled"]) == (0, 4, "resnet", 1, "")  # of the WRN-28
    labeled, weak, strong = f["augment"].split(".")
    assert labeled == weak
    pad = {"d": 4 / 32}
    expected = {
        "backbone.name": f"wrn_28_{f['filters'] // 16}",
        "backbone.bn_momentum": 1 - f["bn_momentum"],
        "semi.steps": (f["train_kimg"] << 10) // f["batch"],
        "semi.batch": f["batch"],
        "semi.mu": f["uratio"],
        "semi.lr": f["lr"],
        "semi.optimizer": "sgd",
        "semi.schedule": "long_cosine",
        "semi.weight_decay": f["wd"],
        "semi.warmup": 0,
        "semi.smoothing": 0,
        "semi.clip": 0,
        "algo.name": "fixmatch",
        "algo.lambda_u": f["wu"],
        "algo.burn_in": 0,
        "algo.joint": True,
        "teacher.name": "self",
        "teacher.mode": "train",
        "labeler.tau": f["confidence"],
        "labeler.name": "threshold",
        "labeler.smoothing": 0,
        "mixer.name": "none",
        "eval.decay": f["ema"],
        "eval.buffers": "copy",
        "data.name": "cifar10",
        "data.labels": "25/class",
        "data.pool": "all",
        "data.size": 32,
        "data.stats": "declared" if f["whiten"] else "0.5,0.5,0.5/0.5,0.5,0.5",  # pixels of -1 to 1
        "views.labeled": "weak",
        "stages": "semi",
    }
    strongly: dict[str, dict[str, Any]] = {
        "rac": {"randaugment": "fixmatch-n2", "cutout": 16 / 32}
    }  # after what a strong view begins with, "d"
    expected |= flatten(Policy(pad=pad[weak], flip=True), "views.weak.")
    expected |= flatten(Policy(pad=pad["d"], flip=True, **strongly[strong]), "views.strong.")
    assert {key: (found[key], value) for key, value in expected.items() if found[key] != pytest.approx(value)} == {}
    assert f.read == FIXMATCH.keys()
    assert layers("fixmatch_cifar10_250", None, {}).keys() <= expected.keys()


@pytest.mark.parametrize("name", recipes())
def test_the_configuration_of_a_recipe_is_shown_without_data_and_weights(name: str) -> None:
    asked = layers(name, None, {})
    found, said = shown(asked)
    assert {key: found[key] for key in asked if found[key] != asked[key] and asked[key] != "auto"} == {}
    counted = {f"{stage}.steps" for stage in ("finetune", "semi") if f"{stage}.epochs" in asked}
    assert flatten(config_of(name)).keys() - found.keys() == counted, "steps that the data decide are no number"
    assert said.startswith(f"{asked['data.name']} is not read, as no --data-dir is given")
    assert all(key in said for key in counted)


def test_what_is_shown_without_data_is_a_configuration_file(tmp_path: Path) -> None:
    made = sslkit("run", "--recipe", "semivit_huge_1p", "--mixer", "none", "--show-config")
    assert made.code == 0, made.err
    assert made.err.endswith("finetune.steps, semi.steps follow from the number of its images, and are left out\n")
    (tmp_path / "c.toml").write_text(made.out)
    assert sslkit("run", "--config", tmp_path / "c.toml", "--show-config").out == made.out
    named = ("--data-dir", tmp_path / "none")
    assert_refused(sslkit("run", "--recipe", "semivit_huge_1p", *named, "--show-config"), "no folder")
    assert_refused(sslkit("run", "--data", "cifar10", "--show-config"), "cifar10 needs its folder")
    assert_refused(sslkit("run", "--recipe", "semivit_huge_1p", "--set", "semi.tua=1", "--show-config"), "semi.tua")
