"""The HTML page of a comparison, seen by a real browser."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness.browser import Browser, browser
from tests.harness.pages.test_page import ARMS, CLASSES, SCRIPT, store, text

__all__ = ["store", "text"]  # fixtures


def hurt(text: str, body: str) -> str:
    """The page without the rule against scripts, with more in it."""
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert without != text
    return without.replace("</body>", f"{body}</body>")


def widest(tab: Browser) -> list[int]:
    """Width of the window, and how far the page reaches to the right."""
    found: list[int] = tab.value("[window.innerWidth, document.documentElement.scrollWidth]")
    return found


@pytest.mark.slow
def test_a_real_browser(text: str, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    with browser(tmp_path / "profile") as tab:
        for width in (380, 1280):
            file.write_text(text, "utf-8")
            tab.open(file, width)
            assert tab.problems == []
            assert tab.requests == [file.as_uri()]
            assert widest(tab) == [width, width]
            assert tab.value("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
            assert tab.value("document.images.length") >= 4
            assert tab.value("document.querySelectorAll('svg text').length") > 50
            shown = " ".join(tab.value("document.body.innerText").split())
            for name in (*CLASSES, *ARMS):
                assert " ".join(name.split()) in shown
            sizes = tab.value(
                "[...document.querySelectorAll('svg text, p, td, th, li, code')]"
                ".map(node => node.getBoundingClientRect().height).filter(height => height > 0)"
            )
            assert min(sizes) >= 10, "letters are large enough to read"
            # The names are harmless by themselves, not only by the rule against scripts.
            file.write_text(hurt(text, "<script>window.ran = 1</script>"), "utf-8")
            tab.open(file, width)
            assert tab.problems == []
            assert tab.value("[window.ran, window.hacked === undefined]") == [1, True]
            assert tab.value("document.scripts.length") == 1


@pytest.mark.slow
def test_the_browser_sees_what_is_wrong(text: str, tmp_path: Path) -> None:
    """The test above can fail."""
    file = tmp_path / "page.html"
    with browser(tmp_path / "profile") as tab:
        for body in ("<script>nothing()</script>", "<script>console.error('red')</script>", "<img src='gone.png'>"):
            file.write_text(hurt(text, body), "utf-8")
            tab.open(file, 380)
            assert tab.problems != [], body
        file.write_text(text.replace("</body>", f"{SCRIPT}</body>"), "utf-8")
        tab.open(file, 380)
        assert tab.problems != [], "a script is refused"
        file.write_text(hurt(text, "<div style='width: 600px'>wide</div>"), "utf-8")
        tab.open(file, 380)
        assert widest(tab)[1] >= 600
