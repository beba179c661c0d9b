"""What the first stage starts from: a file, what a run left, or weights of the same network by timm or by a package.

Nothing is fetched that is on this machine already.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from sslkit import registry
from sslkit.config import Config
from sslkit.config.resolve import argument
from sslkit.config.starting import NOTHING
from sslkit.errors import UserError, one_line
from sslkit.network import HEADS, Classifier
from sslkit.store import bases, read_json, store_of, weights_of
from sslkit.store.checkpoint import under
from sslkit.weights.matching import HEAD, bare
from sslkit.weights.origin import at, timm_about, timm_name
from sslkit.weights.packages import install, packaged

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # timm looks for them in this order
PATIENCE = 5.0  # seconds for the hub's first answer


def first_weights(config: Config) -> Path | None:
    """The file that the first stage starts from: `weights`, what the last stage of that run left, timm's, a package's.

    Raises:
        UserError: there is none.
    """
    if config.weights in NOTHING:
        return None
    assert config.weights is not None
    chosen = config.backbone.name
    cls = registry.load("backbone", chosen)
    if config.weights == "imagenet":
        return _package_file(cls)
    kind, _, name = config.weights.partition(":")
    if kind == "timm":
        return timm_file(name or timm_name(cls, argument("backbone", chosen, cls), chosen))
    path = at(config.weights)
    if (path / "run.json").is_file():
        last = list(read_json(path / "run.json")["stages"].values())[-1]
        stage = store_of(path) / "stages" / last
        if adapted(stage):
            raise UserError(
                f"--weights {path}: its network has an adapter; start from what `sslkit export {path}` writes"
            )
        path = weights_of(stage)
    if not path.is_file():
        raise UserError(f"--weights {config.weights}: there is no such file, and no run with weights")
    return path


def content_hash(path: Path | None) -> str:
    """16 hexadecimal digits of a file's content, read once in a process as long as the file stays as it is."""
    if path is None:
        return ""
    about = path.stat()
    return _hashed(path, about.st_size, about.st_mtime_ns)


@lru_cache
def _hashed(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def adapted(stage: Path) -> bool:
    """Whether a stage trained a network with an adapter."""
    return "adapt" in read_json(stage / "spec.json")["parts"]


def take_over(parent: Path, fingerprint: str, networks: Mapping[str, Classifier]) -> None:
    """Load what a stage left: the tensors of each prefix into its network, but for the heads that its algorithm added.

    Args:
        parent: the stage's folder.
        fingerprint: of the data; a head that was trained on other data is not taken, the network's own stays.

    Raises:
        UserError: the network's head cannot be told by its name.
    """
    tensors, _ = bases.load(parent / "weights.safetensors")
    learned = read_json(parent / "spec.json")["data"]["fingerprint"]
    for prefix, network in networks.items():
        own = {n: t for n, t in network.state_dict().items() if learned != fingerprint and HEAD.fullmatch(bare(n))}
        try:
            left = {n: t for n, t in under(prefix, tensors).items() if not n.startswith("added.")}
            network.load_state_dict(left | own)
        except RuntimeError as error:
            hint = f"a head must be called {', '.join(HEADS[:-1])} or {HEADS[-1]}, to be replaced"
            raise UserError(f"the weights of {parent} do not fit: {one_line(error)}; {hint}") from None


def _package_file(cls: type[Classifier]) -> Path:
    """The file in the backbone's package.

    Raises:
        UserError: the package is not installed, or damaged.
    """
    file = packaged(cls)
    if file is None:
        name = cls.weights_package()
        raise UserError(f"--weights imagenet needs the package {name}, which is not installed: {install(cls)}")
    return file


def timm_file(name: str) -> Path:
    """The file of timm's weights NAME or NAME.TAG: from the hub's cache on this machine, else fetched into it.

    Raises:
        UserError: timm has no such weights, or they are not here and the hub does not answer.
    """
    about = timm_about(name)
    if about.file:
        return Path(about.file)
    files = (about.hf_hub_filename,) if about.hf_hub_filename else HUB_FILES
    return _from_hub(name, about.hf_hub_id, files)


def _from_hub(name: str, repository: str, files: tuple[str, ...]) -> Path:
    from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

    for file in files:
        if isinstance(found := try_to_load_from_cache(repository, file), str):
            return Path(found)
    try:
        if not constants.HF_HUB_OFFLINE:
            answers(constants.ENDPOINT)
        for file in files:
            with suppress(EntryNotFoundError):
                return Path(hf_hub_download(repository, file, token=False))
        reason = "it is not there"
    except (HfHubHTTPError, OSError) as error:
        reason = one_line(error)
    raise UserError(
        f"--weights timm:{name}: {files[0]} of {repository} is not on this machine, and {constants.ENDPOINT} does "
        f"not give it ({reason}); fetch it elsewhere, and name it: --weights FILE"
    )


def answers(url: str) -> None:
    """Raise an OSError at once where the hub cannot be reached, which its client would try for half a minute.

    It does so for a file that is not here yet: huggingface/huggingface_hub#3569.
    """
    with suppress(urllib.error.HTTPError), urllib.request.urlopen(url, timeout=PATIENCE):  # any answer will do
        pass
