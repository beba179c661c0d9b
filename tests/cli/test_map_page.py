"""The page of a map in a real browser: it is ready, draws every point, shows images, asks for nothing, runs no name."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sslkit.finished.scatter.page import page, write_page
from sslkit.finished.scatter.points import Points
from sslkit.finished.scatter.projection import Projection
from tests.harness.browser import Browser, browser

EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>&amp;\"'<!--"
PARTS = ("labeled", "test", "pool")
CLASSES = ["cat", "dog", EVIL]
READY = """new Promise(done => {
  const ask = () => document.documentElement.dataset.ready ? done(true) : setTimeout(ask, 5);
  ask();
  setTimeout(() => done(false), 30000);
})"""
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
SEEN = """(from => {
  const copy = new OffscreenCanvas(from.width, from.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(from, 0, 0);
  return copy.getImageData(0, 0, from.width, from.height).data;
})"""
COUNT = 600  # three sheets


def made(count: int = COUNT) -> Points:
    """Points on a grid, far enough apart to be told; each image has a colour of its own."""
    rng = np.random.default_rng(0)
    place = np.arange(count)
    p = rng.dirichlet(np.full(3, 0.5), count)
    colours = torch.from_numpy(rng.integers(0, 256, (count, 3), np.uint8))
    part = np.minimum(place // 100, 2)
    return Points(
        run=EVIL, classes=CLASSES, parts=PARTS, names=[EVIL, "=1+1.png", *(f"d/{i}.png" for i in range(2, count))],
        pixels=colours[:, :, None, None].expand(count, 3, 20, 20), part=part,
        label=np.where(part < 2, place % 3, -1), p=p, features=rng.normal(size=(count, 4)),
        projection=Projection(np.stack([place % 30, place // 30], 1).astype(np.float32), "pca", EVIL), said="all",
    )  # fmt: skip


@pytest.fixture(scope="module")
def points() -> Points:
    return made()


@pytest.fixture(scope="module")
def file(points: Points, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "map.html"
    write_page(points, file)
    return file


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser") / "profile") as tab:
        yield tab


@pytest.fixture
def tab(window: Browser, file: Path) -> Browser:
    window.open(file, 1280)
    assert window.value(READY)
    return window


def mouse(tab: Browser, kind: str, x: float, y: float, **also: Any) -> None:
    """A real event of the pointer, at a place of the map."""
    left, top = tab.value("(box => [box.left, box.top])(canvas.getBoundingClientRect())")
    tab.call("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, **also)
    tab.value(FRAMES)


def click(tab: Browser, x: float, y: float) -> None:
    for kind in ("mousePressed", "mouseReleased"):
        mouse(tab, kind, x, y, button="left", clickCount=1)


def key(tab: Browser, name: str) -> None:
    text = {"text": name} if len(name) == 1 else {}
    tab.call("Input.dispatchKeyEvent", type="keyDown", key=name, **text)
    tab.call("Input.dispatchKeyEvent", type="keyUp", key=name)


def drawn(tab: Browser) -> int:
    """How many points have their colour where they lie."""
    tab.value(FRAMES)
    script = f"""(() => {{
      const seen = new Uint32Array({SEEN}(canvas).buffer);
      return [...paint.keys()].filter((i) => {{
        const [px, py] = where(i).map((v) => Math.round(v * ratio));
        return seen[py * canvas.width + px] === paint[i];
      }}).length;
    }})()"""
    found: int = tab.value(script)
    return found


def text(tab: Browser, name: str) -> str:
    found: str = tab.value(f"document.getElementById('{name}').textContent")
    return found


def test_the_data_in_the_page_are_the_points(points: Points, file: Path) -> None:
    found = file.read_text("utf-8")
    data = json.loads(re.findall(r'id="data">(.*?)</script>', found)[0])
    assert (data["names"], data["classes"], data["parts"]) == ([*points.names], CLASSES, [*PARTS])
    kinds = {"x": "<f4", "y": "<f4", "margin": "<f4", "confidence": "<f4"}
    read = {k: np.frombuffer(base64.b64decode(v), kinds.get(k, "<i2")) for k, v in data["columns"].items()}
    for name in ("part", "label", "prediction", "margin", "confidence"):
        assert np.allclose(read[name], getattr(points, name))
    assert (np.stack([read["x"], read["y"]], 1) == points.projection.xy).all()
    sheets = re.findall(r'class="sheet">(.*?)</script>', found)
    assert len(sheets) == 3
    assert Image.open(io.BytesIO(base64.b64decode(sheets[2]))).format == "JPEG"
    assert not re.search(r"(src|href)=.?https?:|@import|url\(", found)
    assert "".join(page(points)) == found


@pytest.mark.slow
def test_every_point_is_drawn_and_nothing_is_asked_for(tab: Browser, file: Path) -> None:
    assert tab.problems == []
    assert tab.requests == [file.as_uri()]
    assert drawn(tab) == COUNT
    assert text(tab, "count") == "600 of 600 images"
    assert tab.value("[window.hacked === undefined, document.scripts.length]") == [True, 1 + 3 + 1]
    assert EVIL in tab.value("document.title")


@pytest.mark.slow
def test_the_pointer_shows_the_image(tab: Browser, points: Points) -> None:
    for i in (0, 1, 299, 599):
        mouse(tab, "mouseMoved", *tab.value(f"where({i})"))
        tab.value("picture(2)")
        assert tab.value("document.getElementById('card').hidden") is False
        lines = tab.value("document.getElementById('card').lastElementChild.textContent")
        known = CLASSES[points.label[i]] if points.label[i] >= 0 else "none"
        guess = f"{CLASSES[points.prediction[i]]}, {points.confidence[i]:.2f}"
        assert lines.startswith(f"{points.names[i]}\nlabel: {known}\nprediction: {guess}\nmargin: ")
        assert lines.endswith(f"part: {PARTS[points.part[i]]}")
        tab.value(f"thumbnail({i}, document.createElement('canvas'))")  # until the sheet is decoded
        seen = tab.value(f"[...{SEEN}(document.querySelector('#card canvas')).slice(0, 3)]")
        assert np.abs(np.array(seen) - points.pixels[i : i + 1][0, :, 0, 0].numpy()).max() <= 8
    mouse(tab, "mouseMoved", -5, -5)
    assert tab.value("document.getElementById('card').hidden") is True
    assert tab.problems == []
    assert tab.value("window.hacked === undefined")


@pytest.mark.slow
def test_it_moves_and_grows_about_the_pointer(tab: Browser) -> None:
    before = tab.value("where(290)")
    mouse(tab, "mousePressed", 100, 100, button="left", clickCount=1)
    mouse(tab, "mouseMoved", 160, 130, button="left", buttons=1)
    mouse(tab, "mouseReleased", 160, 130, button="left", clickCount=1)
    assert tab.value("where(290)") == pytest.approx([before[0] + 60, before[1] + 30], abs=0.1)
    assert text(tab, "number") == "0", "nothing is kept by moving"
    x, y = tab.value("where(290)")
    mouse(tab, "mouseWheel", x, y, deltaX=0, deltaY=-400)
    assert tab.value("where(290)") == pytest.approx([x, y], abs=1)
    gap = tab.value("where(290)[0] - where(289)[0]")
    key(tab, "0")  # nothing without the focus
    tab.value("canvas.focus()")
    key(tab, "0")
    assert gap / tab.value("where(290)[0] - where(289)[0]") == pytest.approx(np.exp(0.6), rel=1e-3)
    assert tab.problems == []


@pytest.mark.slow
def test_colours_and_filters(tab: Browser, points: Points) -> None:
    def choose(by: str) -> int:
        tab.value(f"$('by').value = '{by}', $('by').onchange()")
        return int(tab.value("new Set(paint).size"))

    found = {by: choose(by) for by in ("part", "prediction", "margin", "label")}
    assert (found["part"], found["prediction"], found["label"]) == (3, 3, 4)
    assert found["margin"] > 20
    tab.value("document.getElementById('wrong').click()")
    wrong = (points.label >= 0) & (points.label != points.prediction)
    assert text(tab, "count") == f"{wrong.sum()} of 600 images"
    tab.value("document.getElementById('wrong').click()")
    choose("prediction")
    tab.value("document.querySelectorAll('#class input')[1].click()")
    assert text(tab, "count") == f"{(points.prediction != 1).sum()} of 600 images"
    tab.value("$('all').click()")
    choose("label")
    tab.value("document.querySelectorAll('#part input')[2].click()")
    assert text(tab, "count") == "200 of 600 images"
    tab.value("document.querySelectorAll('#class input')[0].click()")
    left = (points.part < 2) & (points.label != 0)
    assert text(tab, "count") == f"{left.sum()} of 600 images"
    assert drawn(tab) == left.sum()
    tab.value("document.getElementById('wrong').click()")
    left &= points.prediction != points.label
    assert text(tab, "count") == f"{left.sum()} of 600 images"
    tab.value("$('margin').value = 0.3, $('margin').oninput()")
    left &= points.margin <= 0.3
    assert text(tab, "count") == f"{left.sum()} of 600 images"
    assert 0 < left.sum() < 100
    tab.value("$('none').click()")
    assert text(tab, "count") == "0 of 600 images"
    assert drawn(tab) == 0
    assert tab.problems == []


@pytest.mark.slow
def test_kept_images_become_a_table(tab: Browser, points: Points) -> None:
    for i in (1, 299, 0, 299):  # the last click takes it back
        click(tab, *tab.value(f"where({i})"))
    assert text(tab, "number") == "2"
    assert tab.value("document.getElementById('list').value") == f"=1+1.png\n{EVIL}"
    quoted = EVIL.replace('"', '""')
    guess = [CLASSES[c] if c < 2 else f'"{quoted}"' for c in points.prediction[:2]]
    assert tab.value("csv()") == (
        "file,label,suggested,margin,part\n"
        f"'=1+1.png,dog,{guess[1]},{points.margin[1]:.4f},labeled\n"
        f'"{quoted}",cat,{guess[0]},{points.margin[0]:.4f},labeled\n'
    )
    tab.value("canvas.focus()")
    key(tab, "+")
    middle = tab.value("document.getElementById('card').lastElementChild.textContent").splitlines()[0]
    key(tab, "Enter")
    assert text(tab, "number") == "3"
    assert tab.value("document.getElementById('list').value").endswith(middle)
    tab.value("$('clear').click()")
    (left, top), (right, low) = tab.value("[where(599), where(536)]")
    mouse(tab, "mousePressed", right - 5, low + 5, button="left", clickCount=1, modifiers=8)
    mouse(tab, "mouseMoved", left + 5, top - 5, button="left", buttons=1, modifiers=8)
    mouse(tab, "mouseReleased", left + 5, top - 5, button="left", clickCount=1, modifiers=8)
    chosen = {f"d/{i}.png" for i in range(530, 600) if i % 30 >= 26 and i >= 536 // 30 * 30}
    assert {*tab.value("document.getElementById('list').value").splitlines()} == chosen
    assert tab.problems == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(380, "light"), (1280, "dark")])
def test_small_and_dark_screens(window: Browser, file: Path, width: int, scheme: str) -> None:
    window.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    window.open(file, width)
    assert window.value(READY)
    assert drawn(window) == COUNT
    assert window.value("document.documentElement.scrollWidth") == width
    shade = window.value("getComputedStyle(document.body).backgroundColor")
    assert shade == ("rgb(20, 23, 27)" if scheme == "dark" else "rgb(255, 255, 255)")
    corner = window.value(f"[...{SEEN}(canvas).slice(0, 3)]")
    assert f"rgb({', '.join(map(str, corner))})" == shade
    assert window.problems == []


@pytest.mark.slow
def test_the_test_sees_what_is_wrong(window: Browser, file: Path, tmp_path: Path) -> None:
    hurt = tmp_path / "hurt.html"
    text = file.read_text("utf-8")
    for old, new in (
        ('"use strict";', '"use strict"; console.error("red");'),  # its hash is another: refused
        ("<header>", "<header><img src='https://example.org/x.png'>"),
        ("<header>", "<header onclick='x()'><script>window.hacked = 1</script>"),
    ):
        assert old in text
        hurt.write_text(text.replace(old, new), "utf-8")
        window.open(hurt, 1280)
        assert window.problems != [], new
    assert window.value("window.hacked === undefined")
