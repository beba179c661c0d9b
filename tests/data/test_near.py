"""Near duplicates: the perceptual hash, and groups of images beside a comparison of every pair."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from sslkit.data import near
from sslkit.data.near import near_duplicates, perceptual_hash
from tests.own_images.photos import pieces


def hashed(images: list[Image.Image]) -> tuple[Any, Any]:
    greys = [image.convert("L") for image in images]
    hashes = np.array([perceptual_hash(grey) for grey in greys], np.uint64)
    return hashes, np.stack([np.asarray(grey.resize((16, 16), Image.Resampling.BOX)) for grey in greys])


def test_the_hash_is_that_of_the_transform_written_out() -> None:
    from scipy.fft import dctn

    for image in pieces("china.jpg", 5):
        grey = image.convert("L")
        small = np.asarray(grey.resize((32, 32), Image.Resampling.BOX), float)
        signs = dctn(small)[:8, :8].ravel() > 0
        assert perceptual_hash(grey) == int("0" + "".join(str(int(sign)) for sign in signs[1:]), 2)


@pytest.mark.parametrize("size", [32, 50, 64, 97, 224])
def test_many_at_once_look_as_one_by_one(size: int) -> None:
    """Where blocks do not divide the size, torch's overlap and Pillow's weigh: a few bits may differ."""
    both = pieces("flower.jpg", 20) + pieces("china.jpg", 20)
    some = [image.resize((size, size)) for image in both if np.asarray(image.convert("L")).std() > 10]  # no sky
    hashes, thumbs = hashed(some)
    found, small = near.looks(np.stack([np.asarray(image).transpose(2, 0, 1) for image in some]))
    assert (found.dtype, small.dtype, small.shape) == (np.uint64, np.uint8, thumbs.shape)
    apart = [int(a ^ b).bit_count() for a, b in zip(found, hashes, strict=True)]
    assert np.median(apart) <= (1 if size % 32 == 0 else 4)
    assert max(apart) <= near.RADIUS
    assert np.abs(small.astype(int) - thumbs).max() <= (1 if size % 32 == 0 else 40)


@pytest.mark.parametrize("train", [0, 1, 40, 79, 80])
def test_pairs_across_two_parts_are_those_of_all(train: int) -> None:
    images = pieces("flower.jpg", 40) + [image.resize((50, 50)) for image in pieces("flower.jpg", 40)]
    hashes, thumbs = hashed([images[i] for i in np.random.default_rng(train).permutation(80)])
    expected = set()
    for group in near_duplicates(hashes, thumbs):
        for a in group:
            for b in group:
                if a < train <= b and near_duplicates(hashes[[a, b]], thumbs[[a, b]]):
                    expected.add((a, b))
    assert {*map(tuple, near.alike_across(hashes, thumbs, train).tolist())} == expected
    assert (len(expected) > 10) == (train == 40)


def test_pieces_of_a_photograph_are_not_alike_and_changed_ones_are() -> None:
    both = pieces("flower.jpg", 40) + pieces("china.jpg", 40)
    some = [image for image in both if np.asarray(image.convert("L")).std() > 5]  # no sky
    assert len(some) > 50
    assert not near_duplicates(*hashed(some))
    changed = [image.resize((50, 50)) for image in some[:40:4]]
    found = near_duplicates(*hashed(some + changed))
    assert found == [[4 * k, len(some) + k] for k in range(10)]


def test_many_images_of_one_colour_or_of_one_content_are_no_trouble() -> None:
    blank = [Image.new("L", (20, 20), shade) for shade in (0, 0, 90, 255)] * 500
    assert not near_duplicates(*hashed(blank))
    one = pieces("china.jpg", 1) * 3000
    assert near_duplicates(*hashed(one)) == [list(range(3000))]


@pytest.mark.parametrize("exact", [0, near.EXACT])
def test_pairs_of_close_hashes(exact: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs within 4 bits are found with high probability: here all of 300."""
    monkeypatch.setattr(near, "EXACT", exact)
    draw = np.random.default_rng(0)
    first = draw.integers(0, 1 << 62, 300, dtype=np.uint64)
    flips = np.array([sum(1 << int(b) for b in draw.choice(62, 4, replace=False)) for _ in first], np.uint64)
    thumbs = np.tile(draw.integers(0, 255, (300, 16, 16), dtype=np.uint8), (2, 1, 1))
    assert near_duplicates(np.concatenate([first, first ^ flips]), thumbs) == [[i, 300 + i] for i in range(300)]


def connected(hashes: Any, thumbs: Any) -> list[list[int]]:
    """Groups by every pair, in float64: who is reached from the first one that is in no group."""
    flat = thumbs.reshape(len(thumbs), -1).astype(np.float64)
    bits = np.unpackbits(hashes[:, None].view(np.uint8), axis=1).astype(int)
    shown = flat.std(1) >= 3
    correlation = np.corrcoef(flat + 1e-9 * np.arange(flat.shape[1]))  # of pictures of one colour, too
    left, found = set(np.flatnonzero(shown).tolist()), []
    while left:
        members, border = set(), {min(left)}
        while border:
            i = border.pop()
            members.add(i)
            left.discard(i)
            others = np.array(sorted(left), int)
            others = others[np.abs(bits[others] - bits[i]).sum(1) <= 14]
            border |= {j for j in others.tolist() if correlation[i, j] >= 0.95}
        found.append(sorted(members))
    return [members for members in found if len(members) > 1]


def drawn(kind: str, count: int, seed: int) -> tuple[Any, Any]:
    """Hashes and small pictures: of unrelated images, of scenes in many versions, and of one camera, where a picture
    of noise is seen now and then."""
    draw = np.random.default_rng(seed)
    scene = draw.permutation(count) % {"unrelated": count, "scenes": count // 4, "camera": 1}[kind]
    hashes = draw.integers(0, 1 << 63, count, dtype=np.uint64)[scene]
    pictures = draw.integers(0, 256, (count, 16, 16))[scene] + draw.integers(-30, 31, (count, 16, 16))
    strange = draw.random(count) < 0.1
    pictures[strange] = draw.integers(0, 256, (strange.sum(), 16, 16))
    flat = draw.random(count) < 0.02
    pictures[flat] = 128 + draw.integers(-1, 2, (flat.sum(), 16, 16))
    if kind != "unrelated":
        for _ in range(9):  # pairs from 0 to 18 bits apart
            hashes ^= np.where(
                draw.random(count) < 0.7, np.uint64(1) << draw.integers(0, 63, count, dtype=np.uint64), 0
            )
    return hashes, np.clip(pictures, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", ["unrelated", "scenes", "camera"])
def test_up_to_some_thousands_every_pair_is_compared(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "PAIRS", 20_000)  # in several blocks
    given = drawn(kind, 300, seed)
    expected = connected(*given)
    assert near_duplicates(*given) == expected
    assert (kind == "unrelated") == (not expected)


@pytest.mark.parametrize("kind", ["unrelated", "scenes", "camera"])
def test_more_are_compared_with_neighbours_and_hardly_any_is_missed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put together that does not belong together, and of 600 images few are left out of their groups."""
    given = drawn(kind, 600, 0)
    expected = connected(*given)
    monkeypatch.setattr(near, "EXACT", 0)
    found = near_duplicates(*given)
    place = {i: number for number, members in enumerate(expected) for i in members}
    assert all(len({place.get(i) for i in members}) == 1 for members in found)
    assert sum(map(len, found)) >= 0.99 * sum(map(len, expected))
    assert len(found) <= 1.03 * len(expected)


@pytest.mark.parametrize("kind", ["unrelated", "camera", "hashes"])
def test_the_work_grows_with_the_number_of_images_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs whose hashes are compared, of images in orders: the worst is that all hashes are nearly equal, and no two
    pictures."""
    compared = []

    def counted(rows: Any, columns: Any, *rest: Any) -> Any:
        compared.append(rows.size * columns.shape[1])
        return close(rows, columns, *rest)

    close = near._close
    monkeypatch.setattr(near, "_close", counted)
    monkeypatch.setattr(near, "EXACT", 0)
    for count in (300, 1200):
        hashes, thumbs = drawn("unrelated" if kind == "hashes" else kind, count, 0)
        near_duplicates(hashes & np.uint64(3) if kind == "hashes" else hashes, thumbs)
        assert sum(compared) <= near.ORDERS * (count + near.SIDE) * 2 * near.SIDE
        compared.clear()
