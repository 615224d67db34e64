"""Figures of merit, read from the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from fsim.records import Kind, labels_of

SMOOTHING_WINDOW = 3
"""Evaluations in the trailing mean of ``time_to_target_smoothed_s``."""


LABEL_COLUMNS = (
    "label",
    "final_accuracy",
    "best_accuracy",
    "time_to_target_s",
    "rounds_to_target",
    "uplink_bytes_to_target",
    "energy_to_target_j",
)
"""Of :func:`measure_by_label`; units as in :class:`Metrics`."""


@dataclass(frozen=True)
class Metrics:
    """Metrics of a run. None stands for a target never reached: nothing is extrapolated.

    Attributes
    ----------
    time_to_target_s
        Simulated seconds until the mean of the last evaluations, as many as the target's window
        has, first reached the target.
    time_to_target_smoothed_s
        The same for the mean of the last three evaluations, whatever the window.
    uplink_bytes_to_target, energy_to_target_j
        All clients together, until then.
    rounds_to_target
        Rounds until then.
    final_accuracy, best_accuracy
        Of the last and of the best evaluation.
    mean_payload_bytes
        Of the payloads received; None if there was none.
    simulated_s, uplink_bytes, energy_j
        Of the whole run.
    dropouts
        Clients that were lost.
    """

    time_to_target_s: float | None
    time_to_target_smoothed_s: float | None
    uplink_bytes_to_target: int | None
    rounds_to_target: int | None
    energy_to_target_j: float | None
    final_accuracy: float
    best_accuracy: float
    mean_payload_bytes: float | None
    simulated_s: float
    uplink_bytes: int
    energy_j: float
    dropouts: int

    def as_dict(self) -> dict[str, Any]:
        """By name, for JSON and tables."""
        return asdict(self)


def measure(
    records: pd.DataFrame,
    evaluations: pd.DataFrame,
    target: float,
    window: int = 1,
    end: Mapping[str, Any] | None = None,
) -> Metrics:
    """The metrics of a run with at least one evaluation.

    Parameters
    ----------
    records, evaluations
        As :class:`fsim.records.Recorder` gives them.
    target
        Accuracy to reach, in [0, 1].
    window
        Evaluations whose mean is to reach it.
    end
        ``time_s``, ``uplink_bytes`` and ``energy_j`` at the end of the run, which may come after
        its last evaluation; that one's own if None.
    """
    accuracy = evaluations["accuracy"]
    smoothed = accuracy.rolling(SMOOTHING_WINDOW).mean()
    first_smoothed = _first(smoothed >= target)
    received = records.loc[records["kind"] == Kind.RECEIVE, "bytes"]
    last = evaluations.iloc[-1]
    totals = last if end is None else end
    return Metrics(
        **_to_target(evaluations, accuracy, target, window),
        time_to_target_smoothed_s=(
            None if first_smoothed is None else float(evaluations["time_s"].iloc[first_smoothed])
        ),
        final_accuracy=float(last["accuracy"]),
        best_accuracy=float(accuracy.max()),
        mean_payload_bytes=float(received.mean()) if len(received) else None,
        simulated_s=float(totals["time_s"]),
        uplink_bytes=int(totals["uplink_bytes"]),
        energy_j=float(totals["energy_j"]),
        dropouts=int((records["kind"] == Kind.LOST).sum()),
    )


def measure_by_label(evaluations: pd.DataFrame, target: float, window: int = 1) -> pd.DataFrame:
    """Metrics of each label of a run: a row a label, columns :data:`LABEL_COLUMNS`.

    Times, rounds, bytes and joules are those of the whole run until the label's own accuracy
    reached the target, empty where it never did. A label that an evaluation does not tell is not
    at the target then. No row where evaluations tell no labels apart.

    Parameters
    ----------
    evaluations, target, window
        As for :func:`measure`.
    """
    rows_by_label = [labels_of(text) for text in evaluations["accuracy_by_label"]]
    shares = pd.DataFrame(rows_by_label, index=evaluations.index, dtype="float64")
    rows = [
        {
            "label": label,
            "final_accuracy": shares[label].iloc[-1],
            "best_accuracy": shares[label].max(),
            **_to_target(evaluations, shares[label], target, window),
        }
        for label in shares
    ]
    table = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    return table.astype({name: "float64" for name in LABEL_COLUMNS if name != "label"})


def _to_target(
    evaluations: pd.DataFrame, accuracy: pd.Series, target: float, window: int
) -> dict[str, Any]:
    """Cost until the mean of ``window`` accuracies in turn reached the target; None for never."""
    first = _first(accuracy.rolling(window).mean() >= target)
    reached = None if first is None else evaluations.iloc[first]
    return {
        "time_to_target_s": None if reached is None else float(reached["time_s"]),
        "uplink_bytes_to_target": None if reached is None else int(reached["uplink_bytes"]),
        "rounds_to_target": None if reached is None else int(reached["round"]),
        "energy_to_target_j": None if reached is None else float(reached["energy_j"]),
    }


def _first(reached: pd.Series) -> int | None:
    return int(reached.argmax()) if bool(reached.any()) else None
