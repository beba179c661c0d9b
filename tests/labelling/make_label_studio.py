"""Makes fixtures/label_studio/ by a Label Studio server: it imports, is annotated by its API, and exports.

    pip install label-studio==1.23.2          # with label-studio-sdk 2.1.2, whose converter writes CSV and JSON_MIN
    LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN=true LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
      LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=ROOT label-studio start --no-browser --port 18080 \\
      --username a@example.com --password PASSWORD --user-token TOKEN
    python -m tests.labelling.make_label_studio http://localhost:18080 TOKEN ROOT

Two projects: `upload`, whose images are uploaded one by one, and `local`, whose images lie in a folder below ROOT.
"""

from __future__ import annotations

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.labelling.images import BOXED, CLASSES, TRUTH, classes_of, make

OUT = Path(__file__).parent / "fixtures" / "label_studio"
CONFIG = f"""<View><Image name="image" value="$image"/>
<Choices name="choice" toName="image" choice="multiple">{"".join(f'<Choice value="{c}"/>' for c in CLASSES)}</Choices>
<Choices name="part" toName="image" perRegion="true"><Choice value="left"/></Choices>
<RectangleLabels name="box" toName="image"><Label value="nose"/></RectangleLabels></View>"""
BOX = {"x": 1, "y": 1, "width": 50, "height": 50, "rotation": 0}
EXPORTS = {"JSON": "export.json", "JSON_MIN": "export-min.json", "CSV": "export.csv", "TSV": "export.tsv"}


class Server:
    """The API of a running server."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {self.token}", "Content-Type": kind}
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def json(self, *arguments: Any) -> Any:
        return json.loads(self.call(*arguments) or b"null")

    def project(self, title: str) -> int:
        return int(self.json("POST", "/api/projects", {"title": title, "label_config": CONFIG})["id"])

    def upload(self, project: int, file: Path) -> None:
        about = f'Content-Disposition: form-data; name="f"; filename="{file.name}"\r\nContent-Type: image/png'
        body = f"--X\r\n{about}\r\n\r\n".encode() + file.read_bytes() + b"\r\n--X--\r\n"
        self.call("POST", f"/api/projects/{project}/import", body, "multipart/form-data; boundary=X")

    def tasks(self, project: int) -> list[dict[str, Any]]:
        found = self.json("GET", f"/api/tasks?project={project}&fields=all&page_size=100")["tasks"]
        return sorted(found, key=lambda task: int(task["id"]))

    def annotate(self, task: int, classes: list[str], *, box: bool = False, **more: Any) -> None:
        result: list[dict[str, Any]] = []
        if classes:
            value = {"choices": classes}
            result.append({"from_name": "choice", "to_name": "image", "type": "choices", "value": value})
        if box:
            region = {"id": "r1", "to_name": "image", "original_width": 8, "original_height": 8}
            labels = {"rectanglelabels": ["nose"]}
            result.append(region | {"from_name": "box", "type": "rectanglelabels", "value": BOX | labels})
            result.append(region | {"from_name": "part", "type": "choices", "value": BOX | {"choices": ["left"]}})
        self.call("POST", f"/api/tasks/{task}/annotations/", {"result": result, "lead_time": 1.5} | more)

    def predict(self, task: int) -> None:
        value = {"choices": ["dog"]}
        result = [{"from_name": "choice", "to_name": "image", "type": "choices", "value": value}]
        self.call("POST", "/api/predictions/", {"task": task, "result": result, "score": 0.9, "model_version": "m"})

    def export(self, project: int, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for form, name in EXPORTS.items():
            asked = urllib.parse.urlencode({"exportType": form, "download_all_tasks": "true"})
            (folder / name).write_bytes(self.call("GET", f"/api/projects/{project}/export?{asked}"))


def main(url: str, token: str, root: str) -> None:
    server, photos = Server(url, token), Path(root) / "photos"
    names = make(photos)
    project = server.project("upload")
    for name in names:
        server.upload(project, photos / name)
    annotate(server, server.tasks(project), names)
    server.export(project, OUT / "upload")

    project = server.project("local")
    storage = {"project": project, "path": str(photos), "use_blob_urls": True, "recursive_scan": True, "title": "s"}
    made = server.json("POST", "/api/storages/localfiles", storage | {"regex_filter": r".*\.png"})
    server.call("POST", f"/api/storages/localfiles/{made['id']}/sync", {})
    tasks = server.tasks(project)
    by_url = {urllib.parse.unquote(task["data"]["image"]).partition("?d=photos/")[2]: task for task in tasks}
    annotate(server, [by_url[name] for name in names], names)
    server.export(project, OUT / "local")


def annotate(server: Server, tasks: list[dict[str, Any]], names: list[str]) -> None:
    """The truth; and what no table can hold: 5.png is skipped once and labelled once, b/1.png by three, of whom one
    differs, a/1.png by two who differ, of whom one is the ground truth; 4.png is skipped by all, and predicted."""
    for task, name in zip(tasks, names, strict=True):
        i = int(task["id"])
        if name == "a/1.png":
            server.annotate(i, ["dog"])
            server.annotate(i, ["cat"], ground_truth=True)
        elif name == "b/1.png":
            for given in (["dog"], ["dog"], ["emu"]):
                server.annotate(i, given)
        elif name == "4.png":
            server.predict(i)
            server.annotate(i, [], was_cancelled=True)
        else:
            server.annotate(i, classes_of(name), box=name == BOXED)
            if name == "5.png":
                server.annotate(i, [], was_cancelled=True)
    assert len(tasks) == len(TRUTH) + 2


if __name__ == "__main__":
    main(*sys.argv[1:])
