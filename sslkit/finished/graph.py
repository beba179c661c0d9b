"""A network of a run as one file that other programs execute: ONNX, or torch's own exported program.

In the file is all that happens after decoding: it takes uint8 RGB pixels, normalises them, and gives probabilities. So
no mean, scale or softmax can be got wrong outside; how a picture becomes these pixels stands in the file's metadata.
"""

from __future__ import annotations

import importlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sslkit.data.image import to_pixels
from sslkit.errors import UserError, one_line
from sslkit.finished import Predictor, load, test_set
from sslkit.finished.inputs import inputs
from sslkit.finished.merging import merged
from sslkit.store.files import new_file, replacing, write_text

SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}
NEEDED = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18  # the first that torch's exporter writes; read by onnxruntime from 1.14 (2023) on
# images in the traced batch, not 1, which would be fixed (pytorch/pytorch#157621); batch sizes it is checked at in turn
TRACED, SIZES = 2, (1, 3, 32)
CHECKED = 200  # images of the test set, at most
TOLERANCE = 1e-4  # largest difference of a probability
LARGEST = 2e9  # bytes: an ONNX file is one protocol buffer, which cannot hold more
PREPROCESSING = [
    "turn the picture as its EXIF orientation says",
    "convert it to 8-bit RGB: transparency over white, levels of more than 8 bits scaled by their depth, or by `white` "
    "where that is given, above which all is white; `bands`, from 1, are the ones to be taken where they are given",
    "crop a centred square whose side is `crop` times the short side and resize it to the size, by `interpolation` "
    "with anti-aliasing (Pillow's ImageOps.fit with bleed = (1 - crop) / 2)",
    "uint8, shape (batch, 3, size, size), channels in the order red, green, blue",
]
Run = Callable[[Tensor], Tensor]  # uint8 (N, 3, S, S) -> probabilities (N, C)


class Deployed(nn.Module):
    """uint8 images (N, 3, S, S) -> probabilities (N, C) float32."""

    mean: Tensor
    std: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.network, self.temperature = predictor.network, predictor.temperature
        self.logits = predictor.algorithm.predict  # a method, so that the algorithm is no part of this module
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(predictor.spec.data[name])[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        x = (images.float() / 255 - self.mean) / self.std
        logits = self.logits(self.network, x).float() / self.temperature
        return logits.sigmoid() if self.network.multilabel else logits.softmax(1)


def export(
    run: Path,
    out: Path,
    form: str,
    network: str = "averaged",
    calibrated: bool = False,
    check_on: Sequence[str] = (),
) -> dict[str, Any]:
    """Write `out`, and `out.json` with class names, preprocessing and the check; returns what the JSON says.

    Before anything is written the file is executed at batch sizes other than the traced one, and compared with torch:
    on images of the run's test set; where its data have moved, on noise.

    Args:
        form: "onnx" or "torch" (`torch.export.load` reads it).
        network: as in `sslkit.finished.predict.predict`.
        calibrated: the probabilities are those of the temperature that was fitted on the validation part.
        check_on: images to compare on instead, as `sslkit predict` takes them.

    Raises:
        UserError: a package is missing, `out` is there or has another suffix, no such run, the network cannot be
            exported, or the file's probabilities differ by more than `TOLERANCE`.
    """
    about_file = out.with_name(out.name + ".json")
    for path in (out, about_file):
        new_file(path)
    if out.suffix != SUFFIX[form]:
        raise UserError(f"--out {out}: the name of a file of format {form} ends in {SUFFIX[form]}")
    if form == "onnx":
        _have(NEEDED)
    predictor = load(run, network, calibrated)
    pixels, what = compared_on(run, predictor, check_on)
    module = Deployed(predictor).cpu().eval()
    written = Deployed(merged(predictor)).cpu().eval()
    about = _about(run, predictor, form, network)
    write, read = (_write_onnx, _read_onnx) if form == "onnx" else (_write_torch, _read_torch)
    try:
        with replacing(out) as temporary:
            with _explained(form, run):
                write(written, pixels[:1].repeat(TRACED, 1, 1, 1), temporary, about)
                runs = read(temporary)
            about["check"] = {"on": what, **check(module, runs, pixels, out)}
            write_text(about_file, json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    except UserError:
        about_file.unlink(missing_ok=True)
        raise
    return about


def compared_on(run: Path, predictor: Predictor, given: Sequence[str] = ()) -> tuple[Tensor, str]:
    """(n, 3, S, S) uint8 to compare on, at most `CHECKED`, and what they are."""
    if given:
        found = inputs(given, ())[:CHECKED]
        pixels = [to_pixels(one.opened(), predictor.square, one.name) for one in found]
        return torch.from_numpy(np.stack(pixels)), "images that were given"
    try:
        _, test, _ = test_set(run, predictor.spec)
        return test[:CHECKED], "test images"
    except UserError as error:  # what is exported does not need them
        size, draw = predictor.spec.data["size"], torch.Generator().manual_seed(0)
        noise = torch.randint(0, 256, (sum(SIZES), 3, size, size), dtype=torch.uint8, generator=draw)
        return noise, f"images of noise ({one_line(error)})"


def check(module: nn.Module, runs: Run, pixels: Tensor, out: Path) -> dict[str, Any]:
    """Compare probabilities on uint8 images, in batches of `SIZES`: the largest difference, the share of equal classes.

    Raises:
        UserError: a difference above `TOLERANCE`, or outputs of another shape.
    """
    same, start = 0, 0
    sizes: list[int] = []
    apart = []
    while start < len(pixels):
        some = pixels[start : start + SIZES[len(sizes) % len(SIZES)]]
        with torch.no_grad():
            ours, theirs = module(some), runs(some)
        if ours.shape != theirs.shape:
            raise UserError(
                f"{out.name} would give {tuple(theirs.shape)}, torch {tuple(ours.shape)}; nothing is written"
            )
        apart.append((ours - theirs).abs().max())
        same += int((ours.argmax(1) == theirs.argmax(1)).sum())
        start += len(some)
        sizes.append(len(some))
    largest = float(torch.stack(apart).max())
    if not largest <= TOLERANCE:  # also where one is no number
        raise UserError(
            f"probabilities of {out.name} would differ from torch's by up to {largest:.2g} on {len(pixels)} "
            f"images, more than {TOLERANCE:g}, and the class of {len(pixels) - same}; nothing is written"
        )
    return {
        "images": len(pixels),
        "batches": sorted({*sizes}),
        "largest_difference": largest,
        "tolerance": TOLERANCE,
        "same_class": same / len(pixels),
    }


def _about(run: Path, predictor: Predictor, form: str, network: str) -> dict[str, Any]:
    data = predictor.spec.data
    size, classes = data["size"], data["classes"]
    return {
        "format": form,
        "run": run.absolute().name,
        "network": network,
        "classes": classes,
        "size": size,
        "crop": predictor.square.crop,
        "interpolation": predictor.square.interpolation,
        "input": {"name": "images", "dtype": "uint8", "shape": ["batch", 3, size, size]},
        "output": {"name": "probabilities", "dtype": "float32", "shape": ["batch", len(classes)]},
        "preprocessing": PREPROCESSING,
        **predictor.square.tone.about(),
        "inside": {
            "normalisation": "(x / 255 - mean) / std",
            "mean": data["mean"],
            "std": data["std"],
            "temperature": predictor.temperature,
            **({"sigmoid": True} if predictor.thresholds is not None else {"softmax": True}),
        },
        **({"thresholds": predictor.thresholds.tolist()} if predictor.thresholds is not None else {}),
    }


def _have(packages: tuple[str, ...]) -> None:
    for name in packages:
        try:
            importlib.import_module(name)
        except ImportError as error:
            wanted = " ".join(packages)
            raise UserError(
                f"ONNX needs {name} ({one_line(error)}): pip install {wanted}, or 'sslkit[export]'"
            ) from None


@contextmanager
def _explained(form: str, run: Path) -> Iterator[None]:
    """What an exporter raises, as one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the exporter's own code
            yield
    except (OSError, UserError):
        raise
    except Exception as error:
        raise UserError(f"the network of {run} cannot be exported as {form}: {one_line(error)}") from None


def _shapes() -> dict[str, Any]:
    return {"images": {0: torch.export.Dim("batch", min=1)}}


def _write_onnx(module: nn.Module, images: Tensor, path: Path, about: dict[str, Any]) -> None:
    import onnx

    size = sum(t.numel() * t.element_size() for t in module.state_dict().values())
    if size > LARGEST:
        raise UserError(f"the weights take {size / 1e9:.1f} GB, an ONNX file holds 2; use --format torch")
    program = torch.onnx.export(
        module,
        (images,),
        input_names=["images"],
        output_names=["probabilities"],
        dynamic_shapes=_shapes(),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None, "so it is with dynamo"
    model = program.model_proto
    onnx.helper.set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in about.items()})
    onnx.save(model, str(path))


def _read_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])


def _write_torch(module: nn.Module, images: Tensor, path: Path, about: dict[str, Any]) -> None:
    program = torch.export.export(module, (images,), dynamic_shapes=_shapes(), strict=False)
    with path.open("wb") as file:  # torch 2.14.1 refuses names that do not end in .pt2, as a temporary one
        torch.export.save(program, file, extra_files={"sslkit.json": json.dumps(about)})


def _read_torch(path: Path) -> Run:
    with path.open("rb") as file:
        return torch.export.load(file).module()
