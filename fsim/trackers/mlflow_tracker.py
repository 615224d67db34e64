"""A run in MLflow (``pip install fsim[mlflow]``)."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from typing_extensions import override

from fsim.trackers.base import Row, Tracker, numbers, run_name, settings

EXPERIMENT = "fsim"
"""The experiment that runs belong to; made where there is none."""

MOST_PARAMETERS = 100
"""That MLflow takes at a time."""

MOST_CHARACTERS = 6000
"""Of a parameter's value, as MLflow has it."""

STATUS = {"completed": "FINISHED", "failed": "FAILED"}
"""Any other end is MLflow's ``KILLED``."""

_NOT_IN_NAMES = re.compile(r"[^\w\-. /:]")


@dataclass(eq=False)
class MlflowTracker(Tracker):
    """Settings as parameters, ``evaluation/...`` and ``round/...`` as metrics by round.

    A metric's time is the run's beginning and the simulated seconds since. The global state of
    ``mlflow`` (its tracking URI, an active run) is not touched.

    Attributes
    ----------
    place
        A folder, in which ``mlflow.db`` is made, for ``mlflow ui --backend-store-uri
        sqlite:///PLACE/mlflow.db``; or a tracking URI, as ``http://HOST:5000``.
    """

    name: ClassVar[str] = "mlflow"
    packages: ClassVar[tuple[str, ...]] = ("mlflow", "sqlalchemy", "alembic")

    place: str | Path = "runs/mlflow"

    def __post_init__(self) -> None:
        self._began = 0.0
        self._run = ""
        self._client: Any = None

    @override
    def start(self, scenario: Row) -> None:
        # MLflow would otherwise send usage reports.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._began = time.time()
        with _quiet():
            self._client = MlflowClient(tracking_uri=self._uri())
            experiment = self._client.get_experiment_by_name(EXPERIMENT)
            number = (
                experiment.experiment_id
                if experiment
                else self._client.create_experiment(EXPERIMENT)
            )
        self._run = self._client.create_run(number, run_name=run_name(scenario)).info.run_id
        parameters = [
            Param(_NOT_IN_NAMES.sub("_", key), str(value)[:MOST_CHARACTERS])
            for key, value in settings(scenario).items()
        ]
        for at in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(self._run, params=parameters[at : at + MOST_PARAMETERS])

    @override
    def evaluation(self, row: Row) -> None:
        self._write(numbers("evaluation", row), row["time_s"], row["round"])

    @override
    def round(self, row: Row) -> None:
        self._write(numbers("round", row), row["time_s"], row["round"])

    @override
    def finish(self, summary: Row) -> None:
        """Write the metrics as ``summary/...``."""
        metrics = summary.get("metrics", {})
        self._write(numbers("summary", metrics), metrics.get("simulated_s") or 0.0, 0)
        if summary.get("failure"):
            self._client.set_tag(self._run, "failure", summary["failure"])
        self._client.set_terminated(self._run, STATUS.get(summary["status"], "KILLED"))

    def _write(self, metrics: dict[str, float], time_s: float, step: int) -> None:
        from mlflow.entities import Metric

        stamp = round(1000 * (self._began + time_s))
        entities = [Metric(name, value, stamp, step) for name, value in metrics.items()]
        self._client.log_batch(self._run, metrics=entities)

    def _uri(self) -> str:
        if "://" in str(self.place):
            return str(self.place)
        folder = Path(str(self.place))
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


@contextmanager
def _quiet() -> Iterator[None]:
    """A new database's tables are made without a line for each."""
    loggers = [logging.getLogger(name) for name in ("mlflow.store.db.utils", "alembic")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
