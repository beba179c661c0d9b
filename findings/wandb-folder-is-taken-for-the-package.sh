#!/usr/bin/env bash
# Packages: wandb 0.31.0.
#
# A good guess: where wandb is not installed `import wandb` raises an ImportError, and `importlib.util.find_spec("wandb")`
# is None, so either tells a program whether it can log there.
# What happens: every run leaves a folder ./wandb, which Python takes for a namespace package. In that folder's parent the
# import succeeds without the package, and what fails is the first attribute. `find_spec(…).origin` tells them apart.
#
# Output seen:
#   installed: True, attributes: True, origin is a file: True
#   removed:   True, attributes: False, origin is a file: False
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check wandb==0.31.0
mkdir "$work/here"
cd "$work/here"
WANDB_SILENT=true "$work/venv/bin/python" -c 'import wandb; wandb.init(project="p", mode="offline").finish()'
look='
import importlib.util
spec = importlib.util.find_spec("wandb")
import wandb
attributes = hasattr(wandb, "init")
print(f"{spec is not None}, attributes: {attributes}, origin is a file: {bool(spec.origin)}")'
before="$("$work/venv/bin/python" -c "$look")"
"$work/venv/bin/pip" uninstall --quiet --yes wandb
after="$("$work/venv/bin/python" -c "$look" 2>&1 || true)"
echo "installed: $before"
echo "removed:   $after"
if [ "$before" != "True, attributes: True, origin is a file: True" ] ||
  [ "$after" != "True, attributes: False, origin is a file: False" ]; then
  echo "CHANGED: installed: $before; removed: $after" >&2
  exit 1
fi
