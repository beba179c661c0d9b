#!/usr/bin/env bash
# All that a GPU is needed for, in at most nine minutes and without a network:
#   benchmarks/gpu.sh OUT [--wheels DIR] [--data parquet:CIFAR10] [--dry]
# OUT gets a JSON file of each part as soon as it has a number, and a table at the end. --wheels has packages that this
# Python lacks. --dry goes the same way on a CPU with tiny sizes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
needed="torch timm numpy PIL pandas pyarrow scipy sklearn safetensors click rich tabulate tomli_w pytest"

out=${1:?"usage: benchmarks/gpu.sh OUT [--wheels DIR] [--data parquet:DIR] [--dry]"}
shift
if [ "${1:-}" = --wheels ]; then
    mkdir -p "$out/site"
    "$python" -m pip install -q --no-index --no-deps --no-compile --target "$out/site" "$2"/*.whl
    export PYTHONPATH="$out/site:${PYTHONPATH:-}"
    shift 2
fi
"$python" - $needed <<'PYTHON'
import importlib.util, sys
missing = [name for name in sys.argv[1:] if not importlib.util.find_spec(name)]
sys.exit(f"this Python lacks {', '.join(missing)}: put their wheels into a folder, --wheels DIR" if missing else 0)
PYTHON
exec "$python" -m benchmarks.gpu "$out" "$@"
