"""Several seeds of the same policies: means, deviations, and how sure a ratio is.

A target that a run never reached has no time, and none is made up for it: such runs are censored.
They are counted, they leave a mean to those that reached it, and in the median they stand after all
others. Seeds are paired: each policy saw the same clients, data order and weather as the baseline
did under the same seed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fsim.core.rng import stream
from fsim.results.comparison import COMPARED

Floats = npt.NDArray[np.float64]

RESAMPLES = 10_000
COVERAGE = 0.95

MEASURED = (*COMPARED, "time_to_target_smoothed_s", "final_accuracy", "best_accuracy")
"""Metrics that statistics are made of."""

COLUMNS = {
    "policy": "str",
    "metric": "str",
    "seeds": "int64",
    "reached": "int64",
    "mean": "float64",
    "deviation": "float64",
    "median": "float64",
    "pairs": "int64",
    "ratio": "float64",
    "ratio_low": "float64",
    "ratio_high": "float64",
}
"""Column -> type of the table of :func:`statistics`."""


def statistics(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Statistics over seeds, a row for each policy and metric.

    Parameters
    ----------
    runs
        A row for each policy and seed: ``policy``, ``seed`` and the columns of :data:`MEASURED`,
        empty where a target was never reached.
    baseline
        The policy that ratios are taken to.

    Returns
    -------
    pandas.DataFrame
        ``seeds`` that were run and, of these, ``reached``, those with a value; ``mean`` and
        ``deviation`` (of a sample, n - 1) over these; ``median`` over all seeds, empty where it
        falls on one that never reached; ``pairs``, the seeds for which policy and baseline both
        have a value; ``ratio`` of their means over the pairs, and ``ratio_low`` and ``ratio_high``,
        the 95% interval of :func:`paired_bootstrap`. What cannot be told is empty: a deviation or
        an interval of fewer than two.

    Raises
    ------
    ValueError
        A policy and seed twice, or no run of the baseline.
    """
    if runs.duplicated(["policy", "seed"]).any():
        raise ValueError("found a policy and seed twice, allowed is one run of each")
    policies = list(dict.fromkeys(runs["policy"]))
    if baseline not in policies:
        raise ValueError(f"found no run of {baseline!r}, the baseline")
    rows = []
    for metric in MEASURED:
        by_seed = runs.pivot(index="seed", columns="policy", values=metric).astype("float64")
        for policy in policies:
            present = runs.loc[runs["policy"] == policy, "seed"]
            values = by_seed.loc[present, policy].to_numpy()
            pairs = by_seed[[policy, baseline]].dropna() if policy != baseline else (
                by_seed[[policy]].dropna()
            )  # fmt: skip
            rows.append(
                {
                    "policy": policy,
                    "metric": metric,
                    **describe(values),
                    **_ratio(pairs[policy].to_numpy(), pairs[baseline].to_numpy()),
                }
            )
    table = pd.DataFrame(rows)[list(COLUMNS)].astype(COLUMNS)
    # Policy by policy, as they were given.
    order = {policy: at for at, policy in enumerate(policies)}
    return table.sort_values(
        "policy", key=lambda names: names.map(order), kind="stable"
    ).reset_index(drop=True)


def describe(values: Floats) -> dict[str, float]:
    """``seeds``, ``reached``, ``mean``, ``deviation`` and ``median`` of values, NaN for never.

    See :func:`statistics` for what they are.
    """
    finite = values[np.isfinite(values)]
    # Never is later than any time: a median that falls on it, wholly or in part, is not known.
    median = float(np.median(np.where(np.isfinite(values), values, np.inf))) if len(values) else (
        math.nan
    )  # fmt: skip
    return {
        "seeds": len(values),
        "reached": len(finite),
        "mean": float(finite.mean()) if len(finite) else math.nan,
        "deviation": float(finite.std(ddof=1)) if len(finite) > 1 else math.nan,
        "median": median if math.isfinite(median) else math.nan,
    }


def paired_bootstrap(
    values: Floats, base: Floats, resamples: int = RESAMPLES, coverage: float = COVERAGE
) -> tuple[float, float]:
    """Percentile interval of the ratio of means, pairs being drawn with replacement.

    Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, sections 10.2 (a ratio of
    paired means) and 13.3 (the percentile interval). Draws come from a stream of their own: the
    same pairs give the same interval.

    Parameters
    ----------
    values, base
        The policy's and the baseline's, seed by seed, (pairs,), at least one; positive.
    resamples
        How many means are drawn.
    coverage
        Of the interval, in (0, 1).

    Returns
    -------
    tuple
        Its ends.

    Raises
    ------
    ValueError
        The two are not of the same length, there is no pair, or a base is not positive.
    """
    if len(values) != len(base) or not len(base):
        raise ValueError(f"found {len(values)} values and {len(base)} of the baseline")
    if not (base > 0).all():
        raise ValueError("found a value of the baseline that is not positive")
    rng = stream(0, "results.bootstrap", len(values))
    samples = rng.integers(len(values), size=(resamples, len(values)))
    ratios = values[samples].sum(axis=1) / base[samples].sum(axis=1)
    tail = (1 - coverage) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def _ratio(values: Floats, base: Floats) -> dict[str, Any]:
    result: dict[str, Any] = {"pairs": len(base), "ratio": math.nan}
    result |= {"ratio_low": math.nan, "ratio_high": math.nan}
    if len(base) and (base > 0).all():
        result["ratio"] = float(values.mean() / base.mean())
        if len(base) > 1:
            result["ratio_low"], result["ratio_high"] = paired_bootstrap(values, base)
    return result
