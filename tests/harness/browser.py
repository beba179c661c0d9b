"""A real browser without a window: Chromium, spoken to over a pipe by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


class Browser:
    """One tab. `problems` holds what the console would show in red: errors, exceptions, refused resources."""

    def __init__(self, ask: int, hear: int) -> None:
        self.ask, self.hear = os.fdopen(ask, "wb", buffering=0), os.fdopen(hear, "rb")
        self.count, self.session = 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command and its answer; events that come in between are kept."""
        self.count += 1
        asked: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            asked["sessionId"] = self.session
        self.ask.write(json.dumps(asked).encode() + b"\0")
        while (told := self._next()).get("id") != self.count:
            self.events.append(told)
        assert "error" not in told, told
        found: dict[str, Any] = told["result"]
        return found

    def _next(self) -> dict[str, Any]:
        text = bytearray()
        while (byte := self.hear.read(1)) != b"\0":
            assert byte, "the browser is gone"
            text += byte
        found: dict[str, Any] = json.loads(text)
        return found

    def open(self, page: Path, width: int) -> None:
        """Show a file on a screen of this width, as a phone would, and wait until it is there."""
        screen = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        self.events = []
        self.call("Page.navigate", url=page.absolute().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def value(self, script: str) -> Any:
        """What a script gives on the page; the page's own rules on scripts are not asked."""
        told = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        told = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        file.write_bytes(base64.b64decode(told["data"]))

    @property
    def problems(self) -> list[str]:
        self.value("new Promise(done => setTimeout(done, 200))")  # what comes late
        red = []
        for event in self.events:
            method, told = event["method"], event.get("params", {})
            if method == "Runtime.exceptionThrown" or told.get("type") == "error":  # console.error
                red.append(json.dumps(told))
            elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                red.append(told["entry"]["text"])
            elif method == "Page.javascriptDialogOpening":
                red.append(f"dialog: {told['message']}")
        return red

    @property
    def requests(self) -> list[str]:
        """Addresses that were asked for, data in the page apart."""
        sent = (e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent")
        return [address for address in sent if not address.startswith("data:")]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that is closed at the end. Without one a test is skipped; where REQUIRE_BROWSER is set, it fails.

    Args:
        profile: an empty folder for it.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("no browser, and this environment must have one: apt-get install chromium")
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    words = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"]
    words += ["--disable-dev-shm-usage", "--remote-debugging-pipe", f"--user-data-dir={profile}"]
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'  # the protocol's descriptors
    process = subprocess.Popen(
        ["bash", "-c", script, "bash", *words], pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_out, ours_in)
    finally:
        process.terminate()
        process.wait(20)
