"""MLflow: the server that MLFLOW_TRACKING_URI names, else `mlflow.db` beside the runs."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.registry import register
from sslkit.tracker import PROJECT, Row, State, Tracked, Tracker, step_of

MOST = 1000  # figures in one request, and a tenth as many parameters
STATES = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
TAG = "sslkit.id"


@register("tracker")
class MLflow(Tracker):
    """A run that is found again by its tag, as MLflow gives ids itself: a kill right after would lose them.

    Without a server it is SQLite: MLflow 3 does not write to its older store of files.
    """

    module = extra = "mlflow"

    def start(self, run: Tracked) -> Mapping[str, float]:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        for name in ("alembic", "mlflow"):  # which tell of every table that they make
            logging.getLogger(name).setLevel(logging.WARNING)
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{run.store.resolve() / 'mlflow.db'}"
        self.place = f"`mlflow ui --backend-store-uri {uri}`" if uri.startswith("sqlite") else uri
        self.client: Any = MlflowClient(tracking_uri=uri)
        experiment = self._experiment()
        found = self.client.search_runs([experiment], filter_string=f"tags.`{TAG}` = '{run.id}'")
        if found:
            self.id = found[0].info.run_id
            self.client.update_run(self.id, status="RUNNING")
            return dict(found[0].data.metrics)
        made = self.client.create_run(experiment, run_name=run.name, tags={TAG: run.id, **run.tags})
        self.id = made.info.run_id
        params = [Param(key, str(value)) for key, value in run.config.items()]
        for at in range(0, len(params), MOST // 10):
            self.client.log_batch(self.id, params=params[at : at + MOST // 10])
        return {}

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        known = self.client.get_experiment_by_name(name)
        return str(known.experiment_id if known else self.client.create_experiment(name))

    def log(self, rows: Sequence[Row]) -> None:
        from mlflow.entities import Metric

        now, at_once = int(time.time() * 1000), MOST // max(map(len, rows))
        for at in range(0, len(rows), at_once):
            part = [(row, step_of(row)[1]) for row in rows[at : at + at_once]]
            metrics = [Metric(name, value, now, step) for row, step in part for name, value in row.items()]
            self.client.log_batch(self.id, metrics=metrics)

    def finish(self, state: State) -> None:
        self.client.set_terminated(self.id, STATES[state])
