"""The comparison table: a row a policy, and its ratios to a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

COMPARED = {
    "time_to_target_s": "time_to_target_ratio",
    "uplink_bytes_to_target": "uplink_to_target_ratio",
    "rounds_to_target": "rounds_to_target_ratio",
    "energy_to_target_j": "energy_to_target_ratio",
    "mean_payload_bytes": "mean_payload_ratio",
}
"""Metric -> the column with its ratio to the baseline's (below 1 is less)."""

COLUMNS = (
    "policy",
    "time_to_target_s",
    "time_to_target_smoothed_s",
    "uplink_bytes_to_target",
    "rounds_to_target",
    "energy_to_target_j",
    "final_accuracy",
    "best_accuracy",
    "mean_payload_bytes",
    *COMPARED.values(),
    "status",
)


def comparison_table(
    summaries: Mapping[str, Mapping[str, Any]], baseline: str, seed: int | None = None
) -> pd.DataFrame:
    """One row for each label, in the order given.

    A target that was never reached is empty, and so is every ratio that it would enter.

    Parameters
    ----------
    summaries
        Label -> summary of its run.
    baseline
        The label that ratios are taken to.
    seed
        Of these runs, where there are several: a column ``seed`` after ``policy``.
    """
    metrics = {label: summary["metrics"] for label, summary in summaries.items()}
    rows = []
    for label, own in metrics.items():
        row = {"policy": label, "status": summaries[label]["status"], **own}
        for metric, ratio in COMPARED.items():
            base = metrics[baseline][metric]
            row[ratio] = own[metric] / base if own[metric] is not None and base else None
        rows.append(row)
    whole = {"rounds_to_target": "Int64", "uplink_bytes_to_target": "Int64"}
    table: pd.DataFrame = pd.DataFrame(rows)[list(COLUMNS)].astype(whole)
    if seed is not None:
        table.insert(1, "seed", seed)
    return table
