"""A run as a repository of the Hugging Face hub: weights and configuration that timm opens, and a card about them.

Nothing in it names a folder of this machine. https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import EvalResult, HfApi, ModelCardData, errors, get_token
from torch import Tensor, nn

from sslkit import registry
from sslkit.config.resolve import argument
from sslkit.errors import UserError, one_line
from sslkit.finished import Predictor, export, load, one_class_each
from sslkit.finished.graph import Deployed, check, compared_on
from sslkit.store import read_json
from sslkit.store.files import filling, new_folder, write_text
from sslkit.weights.origin import Origin, origin_of
from sslkit.weights.start import answers

TRANSPORT = getattr(errors, "HTTPError", OSError)  # of the client's HTTP library, which was another before 1.0


class _Timm(nn.Module):
    """timm's network of a folder, from uint8 images (N, 3, S, S) to probabilities (N, C)."""

    def __init__(self, folder: Path, predictor: Predictor) -> None:
        super().__init__()
        self.model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
        self.about = [torch.tensor(predictor.spec.data[name])[:, None, None] for name in ("mean", "std")]

    def forward(self, images: Tensor) -> Tensor:
        mean, std = self.about
        logits: Tensor = self.model((images.float() / 255 - mean) / std)
        return logits.softmax(1)


def write(run: Path, out: Path, network: str = "averaged") -> dict[str, Any]:
    """Write the folder `out`: model.safetensors and config.json as timm has them, README.md as the card.

    Before it is there, timm opens it, and its probabilities are compared with the run's own on test images, or on noise
    where these have moved. Returns what the comparison found.

    Raises:
        UserError: as for `sslkit export --format timm`; or timm's probabilities differ.
    """
    new_folder(out)
    predictor = load(run, network)
    one_class_each(predictor.spec, "the card of a model")
    pixels, what = compared_on(run, predictor)
    with filling(out) as folder:
        export.export(run, folder, "timm", network)
        theirs = _Timm(folder, predictor)
        with torch.no_grad():
            found = {"on": what.partition(" (")[0], **check(Deployed(predictor).cpu().eval(), theirs, pixels, out)}
        write_text(folder / "README.md", card(run, predictor, network, found))
    return found


def check_token(repository: str) -> None:
    """
    Raises:
        UserError: there is no token, without which the hub takes nothing.
    """
    if not get_token():
        raise UserError(f"--push {repository}: there is no token; `hf auth login` keeps one, or set HF_TOKEN")


def push(folder: Path, repository: str) -> str:
    """Upload a folder to the hub's repository OWNER/NAME, which is made as a private one; returns its address.

    Raises:
        UserError: no such name, or the hub refuses or does not answer.
    """
    api = HfApi()
    try:
        answers(api.endpoint)
        address = api.create_repo(repository, private=True, exist_ok=True)
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="by sslkit export")
    except (TRANSPORT, errors.HFValidationError, OSError) as error:
        raise UserError(f"--push {repository}: {one_line(error)}; {folder} is written") from None
    return str(address)


def card(run: Path, predictor: Predictor, network: str, found: dict[str, Any]) -> str:
    """The text of README.md.

    Args:
        found: how timm's probabilities compare with the run's.
    """
    results, split = read_json(run / "results.json"), read_json(run / "split.json")
    config, classes = results["config"], predictor.spec.data["classes"]
    start, head = _start(config), results.get("headline") or {}
    name = run.absolute().name
    about = ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "semi-supervised", "sslkit", "timm"],
        model_name=name,
        eval_results=_scores(head, without_folders(config["data.name"])) or None,
    )
    return f"---\n{about.to_yaml()}\n---\n\n# {name}\n\n" + "\n\n".join(
        [
            f"An image classifier, `{config['backbone.name']}`, trained with few labels and many images by sslkit.",
            f"## Use\n\n{USE}",
            f"## Data\n\n{_data(config, split, classes)}",
            f"## Method\n\n{_method(config, results)}",
            f"## Result\n\n{_result(head, results, network)}",
            f"## Parity\n\nOpened by timm {timm.__version__}, its probabilities differ from those of the run by "
            f"{found['largest_difference']:.1e} at most, on {found['images']} {found['on']}; the class is the same for "
            f"{100 * found['same_class']:.1f}%.",
            f"## Licence\n\n{_licence(start)}\n",
        ]
    )


USE = """\
```python
import timm

model = timm.create_model("local-dir:FOLDER", pretrained=True).eval()  # or "hf-hub:OWNER/NAME"
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
names = model.pretrained_cfg["label_names"]
```

`transformers.TimmWrapperForImageClassification.from_pretrained("FOLDER")` gives the same network.

Pictures are cut to their middle square and scaled as `config.json` says."""


def _start(config: dict[str, Any]) -> Origin | None:
    """Where the weights came from that the run began with; None where nothing is known, or there were none."""
    name = config["backbone.name"]
    with suppress(UserError, OSError):
        cls = registry.load("backbone", name)
        return origin_of(config.get("weights"), cls, argument("backbone", name, cls), name)
    return None


def without_folders(data: str) -> str:
    """A data set without the folders of this machine."""
    kind, _, place = data.partition(":")
    return f"{kind}:{Path(place).name}" if place else kind


def _scores(head: dict[str, Any], data: str) -> list[EvalResult]:
    if "top1" not in head:
        return []
    return [
        EvalResult(
            task_type="image-classification",
            dataset_type="custom",
            dataset_name=data,
            dataset_split="test",
            metric_type="accuracy",
            metric_value=head["top1"],
        )
    ]


def _data(config: dict[str, Any], split: dict[str, Any], classes: list[str]) -> str:
    names = ", ".join(classes[:20]) + (f" and {len(classes) - 20} more" if len(classes) > 20 else "")
    name = without_folders(config["data.name"])
    return (
        f"`{name}`: {len(split['labeled'])} labelled images, {len(split['pool'])} in the pool "
        f"without their labels, {len(split['val'])} for validation, {len(split['test'])} for the test. Images of "
        f"{config['data.size']} px; {len(classes)} classes: {names}."
    )


def _method(config: dict[str, Any], results: dict[str, Any]) -> str:
    parts = [
        f"{kind} `{config[f'{kind}.name']}`" for kind in ("teacher", "labeler", "mixer") if f"{kind}.name" in config
    ]
    stages = ", ".join(f"{one['stage']} {one['steps']} steps" for one in results["stages"])
    made = ", ".join(f"{name} {version}" for name, version in results["stages"][-1]["versions"].items())
    method = f"`{config['algo.name']}`{' with ' if parts else ''}{', '.join(parts)}"
    return f"{method}; stages: {stages}; seed {config['seed']}; {made}."


def _result(head: dict[str, Any], results: dict[str, Any], network: str) -> str:
    if "top1" not in head:
        return "No test was measured."
    low, high = head["interval"]
    gains = "; ".join(f"{name} {100 * gain:+.1f} points" for name, gain in (results.get("gains") or {}).items())
    other = (
        f" These weights are those of `{network}`, the figure is of the averaged ones." if network != "averaged" else ""
    )
    return (
        f"Accuracy {100 * head['top1']:.1f}% on {head['images']} test images, 95% interval {100 * low:.1f} to "
        f"{100 * high:.1f} (for the images, of one seed).{f' {gains}.' if gains else ''}{other}"
    )


def _licence(start: Origin | None) -> str:
    if start is None:
        return "Trained from random weights; no licence was chosen."
    known = f"under `{start.license}`" if start.license else "whose licence is not known here"
    return f"It began with the weights {Path(start.name).name}, {known}; none was chosen for what was trained."
