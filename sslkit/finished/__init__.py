"""What a finished run left: its stages, a network ready to predict, and its test set.

Nothing is trained here, and data that have changed since are refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslkit.config.resolve import read_toml
from sslkit.contracts import Algorithm
from sslkit.data.image import Square, Tone
from sslkit.data.on_demand import Pixels
from sslkit.errors import UserError, unknown
from sslkit.network import Classifier
from sslkit.plugins import check_plugins
from sslkit.prepare import Prepared, prepare
from sslkit.store import bases, is_done, read_json, store_of, weights_of, without_weights
from sslkit.training.evaluation import logits
from sslkit.training.multilabel import HALF
from sslkit.training.spec import Spec, stamp
from sslkit.training.stage import build_algorithm, restore

NETWORKS = ("averaged", "student", "best")  # best: the averaged one at the step that was best on the validation part


@dataclass(frozen=True)
class Predictor:
    """A network of a finished run, in evaluation mode."""

    algorithm: Algorithm
    network: Classifier
    spec: Spec
    temperature: float  # what logits are divided by; 1 where the network is taken as it is
    thresholds: Tensor | None = None  # (C,) probabilities from which a class is there, where images have several labels

    @property
    def square(self) -> Square:
        """What of an image it sees."""
        data = self.spec.data
        tone = Tone(data.get("white"), tuple(data.get("bands", ())))
        return Square(int(data["size"]), float(data.get("crop", 1)), data.get("interpolation", "bicubic"), tone)

    def probabilities(self, pixels: Pixels) -> Tensor:
        """(N, C) float32 on the CPU, of uint8 images (N, 3, S, S), without augmentation."""
        found = logits(self.algorithm, self.network, pixels, self.spec) / self.temperature
        return found.sigmoid() if self.network.multilabel else found.softmax(1)


def load(run: Path, network: str = "averaged", calibrated: bool = False) -> Predictor:
    """The network of the last stage of a finished run that trained a head.

    Args:
        network: one of `NETWORKS`.
        calibrated: divide its logits by the temperature that was fitted on the validation part.

    Raises:
        UserError: no such run; it pre-trained only; "best" or `calibrated` of a run without a validation part.
    """
    stage, spec = last_stage(run)
    if network not in NETWORKS:
        raise unknown("network", network, NETWORKS)
    weights = weights_of(stage)
    if network == "best" and not (stage / "best.safetensors").is_file():
        raise UserError(f"{run} has no best network: a step is chosen on a validation part only; train with --val 0.2")
    temperature = _temperature(run, stage, network) if calibrated else 1.0
    found = _predictor(usable(spec), stage / "best.safetensors" if network == "best" else weights, network, temperature)
    return replace(found, thresholds=_thresholds(stage, spec, network)) if found.network.multilabel else found


def load_probe(run: Path) -> Predictor | None:
    """The linear probe with which a finished run began: its network is that of the weights, which no label has changed.

    None where the run did not begin so, or where a comparison has deleted its weights.
    """
    stage = stage_folders(run).get("probe")
    if stage is None or without_weights(stage):
        return None
    return _predictor(usable(Spec(**read_json(stage / "spec.json"))), weights_of(stage), "averaged", 1.0)


def _predictor(spec: Spec, weights: Path, network: str, temperature: float) -> Predictor:
    torch.set_num_threads(spec.threads)
    algorithm, average = build_algorithm(spec, None)
    restore(algorithm, average, bases.load(weights)[0])
    chosen = algorithm.student if network == "student" else average.network
    return Predictor(algorithm.eval(), chosen.eval(), spec, temperature)


def _temperature(run: Path, stage: Path, network: str) -> float:
    if network == "student":
        raise UserError("the student has no temperature: it is fitted for the averaged network; drop --calibrated")
    found = _calibration(stage, network)
    if found and "temperature" not in found:
        raise UserError(
            f"{run} has thresholds in the place of a temperature, which are used as they are; drop --calibrated"
        )
    if not found:
        raise UserError(f"{run} has no temperature: it is fitted on a validation part only; train with --val 0.2")
    return float(found["temperature"])


def _thresholds(stage: Path, spec: Spec, network: str) -> Tensor:
    """(C,) those that the validation part chose for the averaged network, else `HALF`."""
    half = torch.full((len(spec.data["classes"]),), HALF)
    found = {} if network == "student" else _calibration(stage, network)
    return torch.tensor(found["thresholds"]) if found else half


def _calibration(stage: Path, network: str) -> dict[str, Any]:
    """What the validation part gave for the averaged network, at the last step or the best one; {} without one."""
    result: dict[str, Any] = read_json(stage / "result.json")
    return (result["best"] or {} if network == "best" else result).get("calibration") or {}


def usable(spec: Spec) -> Spec:
    """`spec`, on the CPU where its device is not there."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return spec if there[spec.device] else replace(spec, device="cpu", precision="fp32")


def last_stage(run: Path) -> tuple[Path, Spec]:
    """Folder and specification of the last stage of a finished run that trained a head.

    Raises:
        UserError: no such run, or one that pre-trained only.
    """
    found = [folder for label, folder in stage_folders(run).items() if label != "pretrain"]
    if not found:
        raise UserError(f"{run} has pre-trained only: there is no classifier in it")
    return found[-1], Spec(**read_json(found[-1] / "spec.json"))


def stage_folders(run: Path) -> dict[str, Path]:
    """Label -> folder of the stages of a finished run, in the order of training.

    Raises:
        UserError: no such run, one that was moved without its stages, or a plug-in that it used is not loaded.
    """
    if not is_done(run):
        packed = "; if it is one in a zip file, unpack it and name its folder" if run.suffix.lower() == ".zip" else ""
        raise UserError(f"{run} is not a finished run{packed}")
    about = read_json(run / "run.json")
    check_plugins({str(run / file): digest for file, digest in about["plugins"].items()})  # relative where packed
    folders = {label: store_of(run) / "stages" / folder for label, folder in about["stages"].items()}
    lost = [folder for folder in folders.values() if not folder.is_dir()]
    if lost:
        raise UserError(
            f"no folder {lost[0]}: a run needs the folder stages beside it; move or copy all of --runs, or what "
            "`sslkit export RUN --format run` writes where it was trained"
        )
    return folders


def has_weights(run: Path) -> bool:
    """Whether all stages of a finished run have their weights: a comparison drops some."""
    return not any(map(without_weights, stage_folders(run).values()))


def check_weights(run: Path) -> None:
    """All stages of a finished run have their weights.

    Raises:
        UserError: a comparison dropped some; says how to get them back.
    """
    for folder in stage_folders(run).values():
        weights_of(folder)


def one_class_each(spec: Spec, what: str) -> None:
    """Raise a UserError where images have several labels, which `what` does not know."""
    if spec.data.get("multilabel"):
        raise UserError(f"{what} knows one class an image, and those of this run have several labels")


def prepared_data(run: Path, spec: Spec) -> Prepared:
    """The data of a run, read again.

    Raises:
        UserError: it cannot be read, or is not what the run was trained on.
    """
    try:
        prepared = prepare(read_toml(run / "config.toml"), store_of(run) / "data")
    except UserError as error:
        where = "paths are seen from the folder that it was trained in"
        raise UserError(f"the data of {run.name} are needed and cannot be read, {error}; {where}") from None
    test = prepared.split.test
    if prepared.images.fingerprint != spec.data["fingerprint"] or stamp(test) != spec.data["test"]:
        raise changed(run)
    return prepared


def changed(run: Path) -> UserError:
    """The error for data that are no longer those of a run."""
    again = "the same `sslkit run` trains on what there is now"
    return UserError(f"the data or the configuration has changed since {run.name}; {again}")


def test_set(run: Path, spec: Spec) -> tuple[list[str], Pixels, Tensor]:
    """Names, uint8 images (N, 3, S, S) and labels (N,), or (N, C), of a run's test set; -1 is no label.

    Raises:
        UserError: as `prepared_data`; the run has no test.
    """
    prepared = prepared_data(run, spec)
    images, index = prepared.images, prepared.split.test
    if not len(index):
        raise UserError(f"{run.name} has no test images (data.test=none)")
    names = [images.names[i] for i in index]
    return names, images.subset(index), torch.from_numpy(images.targets[index])
