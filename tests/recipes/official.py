"""What the official programs are started with: names of their arguments and values, copied by hand.

Source: amazon-science/semi-vit at 4785cbc: the commands of FINETUNE.md and SEMIVIT.md, and the defaults of
main_finetune.py, main_semi.py, main_conv.py and main_semi_conv.py. google-research/fixmatch at d4985a1: the flags of
ablation/ab_fixmatch_ra.py, libml/train.py, libml/data.py, libml/augment.py and libml/models.py.
"""

from __future__ import annotations

from typing import Any

Arguments = dict[str, Any]

# Arguments that all four programs of Semi-ViT have with one default.
_ALL: Arguments = {
    "batch_size": 64,  # of one GPU
    "input_size": 224,
    "model_ema": False,
    "model_ema_decay": 0.9999,
    "opt_betas": None,
    "clip_grad": None,
    "weight_decay": 0.05,
    "min_lr": 1e-6,
    "aa": "rand-m9-mstd0.5-inc1",
    "smoothing": 0.1,
    "reprob": 0.25,
    "remode": "pixel",
    "recount": 1,
    "resplit": False,
    "mixup": 0.8,
    "cutmix": 1.0,
    "cutmix_minmax": None,
    "mixup_prob": 1.0,
    "mixup_switch_prob": 0.5,
    "mixup_mode": "batch",
    "finetune": "",
    "nb_classes": 1000,
    "anno_percent": 1.0,
    "seed": 0,
}
_VIT: Arguments = {
    "model": "vit_large_patch16",
    "accum_iter": 1,
    "drop_path": 0.1,
    "lr": None,
    "blr": 1e-3,
    "layer_decay": 0.75,
    "warmup_epochs": 5,
    "super_finetune": "",
    "init_scale": 0.001,
    "cls_token": False,  # switches global_pool off
    "use_fixed_pos_emb": False,
}
_CONV: Arguments = {
    "model": "convnext_tiny",
    "update_freq": 1,
    "drop_path": 0,
    "layer_scale_init_value": 1e-6,
    "opt": "adamw",
    "opt_eps": 1e-8,
    "momentum": 0.9,
    "weight_decay_end": None,
    "layer_decay": 1.0,
    "warmup_steps": -1,
    "color_jitter": 0.4,
    "train_interpolation": "bicubic",
    "crop_pct": None,
    "head_init_scale": 1.0,
    "imagenet_default_mean_and_std": True,
}
_SEMI: Arguments = {
    "epochs": 100,
    "trainindex_x": None,
    "trainindex_u": None,
    "color_jitter": 0.4,
    "ema_teacher": False,
    "mu": 5,
    "threshold": 0.7,
    "burnin_epochs": 0,
    "weak_aa": False,
    "weak_no_aug": False,
    "strong_no_re": False,
    "pseudo_mixup": False,
    "disable_x_mixup": False,
    "mixup_func": "Mixup",
    "pseudo_mixup_func": "Mixup",
}
DEFAULTS: dict[str, Arguments] = {
    "main_finetune.py": _ALL | _VIT | {"epochs": 50, "color_jitter": None, "head_lr_scalar": 1.0, "trainindex": None},
    "main_conv.py": _ALL
    | _CONV
    | {"epochs": 300, "lr": 4e-3, "warmup_epochs": 20, "trainindex": None, "use_amp": False, "model_ema_eval": False},
    "main_semi.py": _ALL
    | _VIT
    | _SEMI
    | {
        "lambda_u": 5,
        "drop": 0.0,
        "attn_drop_rate": 0.0,
        "ema_momentum_decay": False,
        "no_super_finetune_ema": False,
        "disable_x_drop_path": False,
    },
    "main_semi_conv.py": _ALL
    | _CONV
    | _SEMI
    | {"lambda_u": 10, "lr": 1e-3, "warmup_epochs": 10, "use_amp": True, "no_finetune_ema": False},
}
# Left out, as they say where files lie, what is printed or stored, and how processes find each other:
# model_ema_force_cpu data_path eval_data_path output_dir log_dir device resume auto_resume start_epoch eval dist_eval
# eval_freq disable_eval num_workers pin_mem no_pin_mem world_size local_rank dist_on_itp dist_url print_freq save_ckpt
# save_ckpt_freq save_ckpt_num model_key model_prefix enable_wandb project wandb_ckpt wandb model_id; and global_pool,
# super_finetune_ema and finetune_ema, which are true unless cls_token and the two with no_ are given.

OFF: Arguments = {"reprob": 0, "mixup": 0, "cutmix": 0}
ON: Arguments = {"reprob": 0.25, "mixup": 0.8, "cutmix": 1.0}


def _mae(size: str) -> Arguments:
    return {"model": f"vit_{size}_patch{14 if size == 'huge' else 16}", "weight_decay": 0.05} | {
        "finetune": f"./pretrain_weights/mae_pretrain_vit_{size}.pth"
    }


_LABELED = {"1p": {"trainindex": "train_1p_index.csv"}, "10p": {"trainindex": "train_10p_index.csv"}}
_BOTH = {
    "1p": {"trainindex_x": "train_1p_index.csv", "trainindex_u": "train_99p_index.csv"},
    "10p": {"trainindex_x": "train_10p_index.csv", "trainindex_u": "train_90p_index.csv"},
}
_TEACHER: Arguments = {"model_ema": True, "ema_teacher": True}
_TEACHER |= {"pseudo_mixup": True, "pseudo_mixup_func": "ProbPseudoMixup"}
_VIT_TEACHER = _TEACHER | {"lambda_u": 5}
_TOKEN: Arguments = {"cls_token": True}
_NO_DROP, _NO_MIX = {"drop_path": 0}, {"drop_path": 0, "reprob": 0, "disable_x_mixup": True}

# recipe -> stage -> program, number of GPUs, and what its command says.
COMMANDS: dict[str, dict[str, tuple[str, int, Arguments]]] = {
    "semivit_base_1p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("base")
            | _LABELED["1p"]
            | OFF
            | {"batch_size": 64, "epochs": 100, "blr": 0.00005, "layer_decay": 0.65, "drop_path": 0},
        ),
        "semi": (
            "main_semi.py",
            8,
            _VIT_TEACHER | _BOTH["1p"] | _NO_MIX | {"model": "vit_base_patch16", "batch_size": 16, "threshold": 0.6},
        ),
    },
    "semivit_base_10p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("base")
            | _LABELED["10p"]
            | ON
            | {"batch_size": 64, "epochs": 100, "blr": 0.00025, "layer_decay": 0.65, "drop_path": 0.1},
        ),
        "semi": (
            "main_semi.py",
            8,
            _VIT_TEACHER | _BOTH["10p"] | {"model": "vit_base_patch16", "batch_size": 16, "threshold": 0.5},
        ),
    },
    "semivit_large_1p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("large")
            | _LABELED["1p"]
            | OFF
            | {"batch_size": 64, "epochs": 50, "blr": 0.001, "layer_decay": 0.75, "drop_path": 0},
        ),
        "semi": (
            "main_semi.py",
            16,
            _VIT_TEACHER | _BOTH["1p"] | {"batch_size": 8, "threshold": 0.6, "drop_path": 0.1},
        ),
    },
    "semivit_large_10p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("large")
            | _LABELED["10p"]
            | ON
            | {"batch_size": 64, "epochs": 50, "blr": 0.001, "layer_decay": 0.75, "drop_path": 0.1},
        ),
        "semi": (
            "main_semi.py",
            16,
            _VIT_TEACHER | _BOTH["10p"] | {"batch_size": 8, "blr": 0.002, "threshold": 0.6, "drop_path": 0.2},
        ),
    },
    "semivit_huge_1p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("huge")
            | _TOKEN
            | _LABELED["1p"]
            | OFF
            | {"batch_size": 16, "epochs": 50, "blr": 0.01, "layer_decay": 0.75, "drop_path": 0},
        ),
        "semi": (
            "main_semi.py",
            32,
            _VIT_TEACHER
            | _TOKEN
            | _BOTH["1p"]
            | {"model": "vit_huge_patch14", "batch_size": 2, "epochs": 50, "blr": 0.005}
            | {"threshold": 0.7, "drop_path": 0.05},
        ),
    },
    "semivit_huge_10p": {
        "finetune": (
            "main_finetune.py",
            8,
            _mae("huge")
            | _TOKEN
            | _LABELED["10p"]
            | ON
            | {"batch_size": 16, "epochs": 50, "blr": 0.001, "layer_decay": 0.75, "drop_path": 0.2}
            | {"model_ema": True, "model_ema_decay": 0.9998},
        ),
        "semi": (
            "main_semi.py",
            32,
            _VIT_TEACHER
            | _TOKEN
            | _BOTH["10p"]
            | {"model": "vit_huge_patch14", "batch_size": 2, "accum_iter": 2, "epochs": 50, "blr": 0.0025}
            | {"threshold": 0.6},
        ),
    },
    "semivit_base_10p_scratch": {
        "finetune": (
            "main_finetune.py",
            8,
            _LABELED["10p"]
            | {"model": "vit_base_patch16", "batch_size": 128, "epochs": 500, "warmup_epochs": 50, "blr": 0.0001}
            | {"layer_decay": 1.0, "opt_betas": (0.9, 0.95), "weight_decay": 0.3}
            | {"use_fixed_pos_emb": True, "model_ema": True},
        ),
        "semi": (
            "main_semi.py",
            8,
            _VIT_TEACHER
            | _BOTH["10p"]
            | {"model": "vit_base_patch16", "batch_size": 16, "threshold": 0.5}
            | {"use_fixed_pos_emb": True, "layer_decay": 0.85},
        ),
    },
    "semivit_convnext_tiny_10p_scratch": {
        "finetune": (
            "main_conv.py",
            8,
            _LABELED["10p"]
            | {"drop_path": 0.1, "epochs": 500, "warmup_epochs": 50, "batch_size": 128, "lr": 1e-3}
            | {"use_amp": True, "model_ema": True, "model_ema_eval": True},
        ),
        "semi": ("main_semi_conv.py", 8, _TEACHER | _BOTH["10p"] | {"batch_size": 16, "lr": 0.001, "drop_path": 0.1}),
    },
}

# FixMatch with RandAugment: the flags, with --augment=d.d.rac and --dataset=cifar10.SEED@250-1.
FIXMATCH: Arguments = {
    "confidence": 0.95,
    "wd": 0.0005,
    "wu": 1,
    "filters": 32,
    "repeat": 4,
    "scales": 0,  # as many as bring 32 pixels to 8
    "uratio": 7,
    "lr": 0.03,
    "batch": 64,
    "train_kimg": 1 << 16,
    "arch": "resnet",
    "augment": "d.d.rac",
    "K": 1,
    "whiten": False,
    "p_unlabeled": "",
    "ema": 0.999,  # no flag: a default of `model`
    "bn_momentum": 0.999,  # no flag: of libml/models.py
}
