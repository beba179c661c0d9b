#!/usr/bin/env bash
# Packages: mlflow-skinny 3.17.2, SQLAlchemy 2.1.9, alembic 1.20.1; SQLite.
#
# A good guess: a metric that was logged as infinity is read back as infinity, as NaN is read back as NaN.
# What happens: the SQL store keeps the largest finite float in its place, and says nothing. A loss that has overflowed is
# then a number, which `math.isfinite` passes and which a mean or a plot takes for one.
#
# Output seen:
#   inf -> 1.7976931348623157e+308
#   -inf -> -1.7976931348623157e+308
#   nan -> nan
set -euo pipefail

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1
cd "$work"
MLFLOW_DISABLE_TELEMETRY=true "$work/venv/bin/python" - 2>"$work/log" <<'PY' || { cat "$work/log" >&2; exit 1; }
import math
import sys

from mlflow.tracking import MlflowClient

client = MlflowClient(tracking_uri="sqlite:///mlflow.db")
run = client.create_run(client.create_experiment("e")).info.run_id
given = [math.inf, -math.inf, math.nan]
for step, value in enumerate(given):
    client.log_metric(run, "loss", value, step=step)
found = [m.value for m in sorted(client.get_metric_history(run, "loss"), key=lambda m: m.step)]
for before, after in zip(given, found, strict=True):
    print(before, "->", after)
if found[:2] != [sys.float_info.max, -sys.float_info.max] or not math.isnan(found[2]):
    sys.exit(f"CHANGED: {found}")
PY
