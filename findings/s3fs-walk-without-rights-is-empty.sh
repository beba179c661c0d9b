#!/usr/bin/env bash
# Packages: s3fs 2026.9.0, fsspec 2026.9.0.
#
# A good guess: who walks through a folder of a bucket that may not be listed, or whose server is busy, is told so, as
# `ls` and `find` do it.
# What happens: `walk` gives one folder without a file in it, and no word is said: the bucket looks empty. So a loop over
# its files does nothing, and ends well.
#
# Output seen:
#   403 AccessDenied: ls PermissionError, find PermissionError, walk [('b/x', [], [])]
#   500 InternalError: ls OSError, find OSError, walk [('b/x', [], [])]
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

answer = [200, ""]


class Bucket(BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"<Error><Code>{answer[1]}</Code><Message>no</Message></Error>".encode()
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
Thread(target=server.serve_forever, daemon=True).start()
files = s3fs.S3FileSystem(
    key="a", secret="b", endpoint_url=f"http://127.0.0.1:{server.server_port}", config_kwargs={"retries": {"max_attempts": 1}}
)
expected = {403: "PermissionError", 500: "OSError"}
for answer[:] in ([403, "AccessDenied"], [500, "InternalError"]):
    found = {}
    for name, call in (("ls", files.ls), ("find", files.find), ("walk", lambda path: [*files.walk(path)])):
        try:
            found[name] = str(call("b/x"))
        except Exception as error:
            found[name] = type(error).__name__
    print(f"{answer[0]} {answer[1]}: " + ", ".join(f"{name} {what}" for name, what in found.items()))
    if found != {"ls": expected[answer[0]], "find": expected[answer[0]], "walk": "[('b/x', [], [])]"}:
        sys.exit(f"CHANGED: for {answer} there is {found}")
PY
