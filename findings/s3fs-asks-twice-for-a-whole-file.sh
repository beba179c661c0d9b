#!/usr/bin/env bash
# Packages: s3fs 2026.9.0, fsspec 2026.9.0.
#
# A good guess: to read a small file whole is one request, and to read it from byte 0 on is the same.
# What happens: `cat_file(path)`, and `cat` of many, ask for the size of each file first, by a HEAD, so that a folder of
# images costs two round trips an image; with `start=0`, or with `max_concurrency=1`, there is the GET alone.
#
# Output seen:
#   cat_file(path): HEAD GET
#   cat_file(path, start=0): GET
#   cat of three files: HEAD HEAD HEAD GET GET GET
#   max_concurrency=1, cat_file(path): GET
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check s3fs==2026.9.0 fsspec==2026.9.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import s3fs

asked = []


class Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        asked.append(self.command)
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"image")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
Thread(target=server.serve_forever, daemon=True).start()
options = {"key": "a", "secret": "b", "endpoint_url": f"http://127.0.0.1:{server.server_port}"}
files, one = s3fs.S3FileSystem(**options), s3fs.S3FileSystem(**options, max_concurrency=1)
calls = {
    "cat_file(path)": lambda: files.cat_file("b/1.jpg"),
    "cat_file(path, start=0)": lambda: files.cat_file("b/1.jpg", start=0),
    "cat of three files": lambda: files.cat(["b/1.jpg", "b/2.jpg", "b/3.jpg"]),
    "max_concurrency=1, cat_file(path)": lambda: one.cat_file("b/1.jpg"),
}
found = {}
for name, call in calls.items():
    asked.clear()
    call()
    found[name] = " ".join(sorted(asked, reverse=True))
    print(f"{name}: {found[name]}")
if [*found.values()] != ["HEAD GET", "GET", "HEAD HEAD HEAD GET GET GET", "GET"]:
    sys.exit(f"CHANGED: requests are {found}")
PY
