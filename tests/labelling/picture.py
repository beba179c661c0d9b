"""Makes docs/label-studio.png: what `sslkit audit RUN --out OUT --to label-studio` wrote, opened by its server.

    python -m tests.labelling.picture http://localhost:18080 TOKEN PASSWORD OUT PHOTOS TASK

The server is started as `make_label_studio.py` says, for a@example.com. PHOTOS is the folder of the images, below its
document root; TASK counts the tasks of the file from 1. Needs Chromium. The picture's run: 60 images of CIFAR-10 of
three classes, enlarged to 96 px, 24 of them labelled, one of these wrongly.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path

from tests.harness.browser import Browser, browser
from tests.labelling.make_label_studio import Server

PICTURE, SIZE = Path("docs/label-studio.png"), (1200, 640)
SHOWN = ["tasks:id", "tasks:predictions_score", "tasks:data.image"]
LOGIN = """const [name, word] = ['input[name=email]', 'input[name=password]'].map(s => document.querySelector(s))
name.value = 'a@example.com'; word.value = %s; word.form.submit()"""


def main(url: str, token: str, password: str, out: str, photos: str, task: str) -> None:
    server = Server(url, token)
    config = (Path(out) / "label-studio.xml").read_text("utf-8")
    project = server.json("POST", "/api/projects", {"title": "Photos", "label_config": config})["id"]
    storage = {"project": project, "path": photos, "use_blob_urls": True, "title": "photos"}
    server.json("POST", "/api/storages/localfiles", storage)  # not synchronized: it only lets the images be served
    file = json.loads((Path(out) / "label-studio.json").read_text("utf-8"))
    print(server.json("POST", f"/api/projects/{project}/import", file))
    tasks = server.tasks(project)
    server.call("GET", tasks[0]["data"]["image"])
    columns = {f"tasks:{name}" for name in tasks[0]} | {f"tasks:data.{name}" for name in tasks[0]["data"]}
    hidden = {place: sorted(columns - {*SHOWN}) for place in ("explore", "labeling")}
    view = {"title": "Default", "type": "list", "target": "tasks", "hiddenColumns": hidden}
    tab = server.json("POST", "/api/dm/views/", {"project": project, "data": view})["id"]
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as page:
        width, height = SIZE
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        go(page, f"{url}/user/login/", 1)
        page.value(LOGIN % json.dumps(password))
        page.value("new Promise(done => setTimeout(done, 100))")
        loaded(page, 2)
        go(page, f"{url}/projects/{project}/data?tab={tab}&task={tasks[int(task) - 1]['id']}", 10)
        PICTURE.write_bytes(base64.b64decode(page.call("Page.captureScreenshot")["data"]))


def go(page: Browser, address: str, seconds: float) -> None:
    page.events = []
    page.call("Page.navigate", url=address)
    loaded(page, seconds)


def loaded(page: Browser, seconds: float) -> None:
    """Wait for a page, and then for what its scripts draw."""
    while not any(event["method"] == "Page.loadEventFired" for event in page.events):
        page.events.append(page._next())
    page.value(f"new Promise(done => setTimeout(done, {seconds * 1000}))")


if __name__ == "__main__":
    main(*sys.argv[1:])
