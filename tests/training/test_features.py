"""The feature pass: rows against the network, what is found again, and passes that were cut off."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslkit.data.image import Array, Square
from sslkit.data.on_demand import OnDemand
from sslkit.data.stored import Stored
from sslkit.errors import UserError
from sslkit.network import Classifier
from sslkit.store.claims import FOLDER
from sslkit.training.features import DIGEST, Features
from tests.training.frozen import SIZE, N, Odd, expected, network_of, on_demand, pictures, specification


@pytest.fixture(scope="module")
def network() -> Classifier:
    return network_of()


def forbidden(*_: Any) -> Any:
    raise AssertionError("an image goes through the network")


@pytest.mark.parametrize(("name", "close"), [("vit_micro", 1e-6), ("wrn_10_1", 1e-5), ("efficientnet_lite0", 1e-5)])
def test_rows_are_the_networks_features(name: str, close: float, tmp_path: Path) -> None:
    made, images = network_of(name), pictures(20)
    index = np.array([3, 19, 0, 3, 7])
    found = Features(made, specification(name), images, tmp_path)(index)
    want = expected(made, images, index)
    assert found.dtype == torch.float32
    assert found.shape == (5, made.feature_dim)
    assert float((found - want).abs().max()) <= close * max(1, float(want.abs().max()))


@pytest.mark.parametrize("name", ["vit_micro", "efficientnet_lite0"])
def test_a_row_does_not_depend_on_the_others_nor_on_the_threads(name: str, tmp_path: Path) -> None:
    made, images, draw = network_of(name), pictures(), np.random.default_rng(0)
    whole = Features(made, specification(name), images, tmp_path / "all")(np.arange(N))
    for number, (count, threads) in enumerate([(1, 1), (5, 3), (N, 1), (33, 2)]):
        index = draw.permutation(N)[:count]
        spec = specification(name, threads=threads)
        assert torch.equal(Features(made, spec, images, tmp_path / str(number))(index), whole[index]), count


def test_images_that_are_decoded_when_needed_have_the_same_rows(network: Classifier, tmp_path: Path) -> None:
    images, index = pictures(), np.arange(N)[::-1].copy()
    plain = Features(network, specification(), images, tmp_path / "plain")(index)
    find = Features(network, specification(), on_demand(images), tmp_path / "demand")
    assert torch.equal(find(index), plain)
    assert (find.done.images, find.done.new) == (N, N)


def test_what_is_kept_is_not_computed_again(
    network: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures()
    first = Features(network, specification(), images, tmp_path)(np.arange(40))
    more = Features(network, specification(threads=1), images, tmp_path)
    assert torch.equal(more(np.arange(60))[:40], first)
    assert (more.done.images, more.done.new) == (60, 20)
    assert "40 more were in the store" in str(more.done)
    monkeypatch.setattr(Features, "_forward", forbidden)
    last = Features(network, specification(), images, tmp_path)
    assert torch.equal(last(np.arange(40)), first)
    assert str(last.done) == "features of 40 images were in the store"


def test_what_is_kept_on_demand_is_not_even_decoded(
    network: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = on_demand(pictures(20))
    first = Features(network, specification(), images, tmp_path)(np.arange(20))
    monkeypatch.setattr(Stored, "rgb", forbidden)
    assert torch.equal(Features(network, specification(), images, tmp_path)(np.arange(20)), first)


def test_equal_images_are_computed_once(network: Classifier, tmp_path: Path) -> None:
    images = pictures(6)
    pixels = np.asarray(images.pixels)
    pixels[4] = pixels[1]
    find = Features(network, specification(), images, tmp_path)
    found = find(np.array([1, 4, 1, 2]))
    assert find.done.new == 2
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[3])


def test_without_an_image_nothing_is_written(network: Classifier, tmp_path: Path) -> None:
    found = Features(network, specification(), pictures(2), tmp_path / "none")(np.zeros(0, np.int64))
    assert found.shape == (0, network.feature_dim)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["rows.f32", "images.txt"])
@pytest.mark.parametrize("left", [0.0, 0.37, 0.9])
def test_a_pass_that_was_cut_off_goes_on(network: Classifier, tmp_path: Path, name: str, left: float) -> None:
    images, index = pictures(), np.arange(N)
    find = Features(network, specification(), images, tmp_path)
    whole = find(index)
    file = find.folder / name
    file.write_bytes(file.read_bytes()[: int(left * file.stat().st_size)])  # within a row, within a name
    again = Features(network, specification(), images, tmp_path)
    assert torch.equal(again(index), whole)
    assert again.done.new == N - int(left * N)
    assert find.path.stat().st_size == 4 * N * network.feature_dim
    assert find.index.stat().st_size == N * DIGEST


def test_a_pass_that_is_killed_loses_a_few_batches(
    network: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, index, calls = pictures(), np.arange(N), []

    def stop(done: int, total: int) -> None:
        calls.append((done, total))
        if done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Features(network, specification(), images, tmp_path, stop)(index)
    assert calls == [(16, N), (32, N)]
    rest = Features(network, specification(), images, tmp_path)
    assert float((rest(index) - expected(network, images, index)).abs().max()) < 1e-5
    assert rest.done.new == N - 32


def test_other_weights_sizes_and_statistics_have_other_rows(network: Classifier, tmp_path: Path) -> None:
    base = specification()
    other = network_of(seed=1)
    data = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0], "size": 64}
    specs = [base, *(replace(base, data=base.data | {name: value}) for name, value in data.items())]
    specs += [replace(base, precision="bf16"), replace(base, parts={"backbone": {"name": "v", "options": {"pool": 1}}})]
    folders = {Features(network, spec, pictures(2), tmp_path).folder for spec in specs}
    assert len({*folders, Features(other, base, pictures(2), tmp_path).folder}) == len(specs) + 1
    with torch.no_grad():
        other.classifier().weight.add_(1)
    head = Features(other, base, pictures(2), tmp_path).folder
    assert head == Features(network_of(seed=1), base, pictures(2), tmp_path).folder, "a head changes no feature"


def test_a_store_that_cannot_be_written_is_the_users(network: Classifier, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot make .*file"):
        Features(network, specification(), pictures(2), tmp_path / "file")(np.arange(2))
    find = Features(network, specification(), pictures(2), tmp_path)
    find.path.mkdir(parents=True)
    with pytest.raises(UserError, match="cannot write"):
        find(np.arange(2))
    find.path.rmdir()
    (tmp_path / FOLDER / find.folder.name).touch()
    with pytest.raises(UserError, match="cannot write"):
        find(np.arange(2))


def test_a_feature_that_is_not_finite_is_no_row(tmp_path: Path) -> None:
    made = network_of()
    with torch.no_grad():
        next(made.parameters()).view(-1)[0] = float("nan")
    find, before = Features(made, specification(), pictures(), tmp_path), torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(UserError, match="a feature is not finite"):
            find(np.arange(N))
        with ThreadPoolExecutor(1) as another:
            assert another.submit(torch.get_num_threads).result() == 3, "put back, after errors, too"
    finally:
        torch.set_num_threads(before)
    assert find.path.stat().st_size == 0


def test_an_image_that_cannot_be_read_is_named(network: Classifier, tmp_path: Path) -> None:
    images = on_demand(pictures(4))
    assert isinstance(images.pixels, OnDemand)
    content = [images.pixels.stored.source(i) for i in range(4)]
    content[2] = b"no image"
    stored = Stored(content.__getitem__, ["a", "b", "c", "d"], Square(SIZE))
    broken = replace(images, pixels=OnDemand(stored, np.arange(4), False, ThreadPoolExecutor(1)))
    with pytest.raises(UserError, match=r"^c is not an image"):
        Features(network, specification(), broken, tmp_path)(np.arange(4))


def test_bf16_rows_are_near(network: Classifier, tmp_path: Path) -> None:
    images, index = pictures(4), np.arange(4)
    found = Features(network, specification(precision="bf16"), images, tmp_path)(index)
    want = expected(network, images, index)
    assert 1e-6 < float((found - want).abs().max()) < 0.1


def test_the_index_takes_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the images are known, and nothing goes through the network: what is measured is the index."""
    n, made = 20_000, Odd(lambda m, x: m.norm(m.conv(x))).eval()
    stored = Stored(lambda i: str(i).encode(), [""] * n, Square(4))
    pixels = OnDemand(stored, np.arange(n), False, ThreadPoolExecutor(1))
    find = Features(made, specification(size=4), replace(pictures(1, 4), pixels=pixels), tmp_path)
    names = find._names(np.arange(n))
    assert len(np.unique(names)) == n
    find.folder.mkdir()

    def write(_: Array, new: Array, known: int) -> None:
        with find.index.open("ab") as index, find.path.open("ab") as rows:
            index.write(new.tobytes())
            rows.write(np.arange(4 * known, 4 * (known + len(new)), dtype=np.float32).tobytes())

    write(names, names[: n // 2], 0)
    monkeypatch.setattr(find, "_compute", write)
    tracemalloc.start()
    found = find(np.arange(n))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert torch.equal(found, torch.arange(4.0 * n).view(n, 4))
    assert peak < 300 * n


TWO = """
import sys
import numpy as np
from pathlib import Path
from tests.training.conftest import NARROW
from tests.training.frozen import *
from sslkit.backbones.vit_micro import ViTMicro
from sslkit.training.features import Features
ViTMicro.width = NARROW
find = Features(network_of(), specification(), pictures(300), Path(sys.argv[1]), waiting=lambda: print("waits"))
found = find(np.arange(int(sys.argv[2]), int(sys.argv[3])))
print(find.done.new)
"""


@pytest.mark.slow
def test_two_processes_compute_what_the_other_has_not(network: Classifier, tmp_path: Path) -> None:
    ranges = [("0", "200"), ("100", "300")]
    started = [
        subprocess.Popen([sys.executable, "-c", TWO, str(tmp_path), *span], stdout=subprocess.PIPE, text=True)
        for span in ranges
    ]
    said = [process.communicate(timeout=300)[0].split() for process in started]
    assert sum(int(words[-1]) for words in said) == 300, said
    images, index = pictures(300), np.arange(300)
    find = Features(network, specification(), images, tmp_path)
    assert float((find(index) - expected(network, images, index)).abs().max()) < 1e-5
    assert find.done.new == 0
