"""Statistics of a trace, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from fsim.network.generators.scores import Floats, normal_quantile


@dataclass(frozen=True)
class Statistics:
    """Statistics of rates over 1 s bins; None for what is not known.

    Attributes
    ----------
    mean, p5, p50, p95
        Mbit/s of all bins, outages included.
    outage_share
        Of bins with rate 0.
    longest_outage
        Seconds, the longest run of such bins.
    correlation
        Of the normal scores (ranks mapped to normal quantiles) of neighbouring bins, where
        neither is in outage.
    """

    mean: float | None = None
    p5: float | None = None
    p50: float | None = None
    p95: float | None = None
    outage_share: float | None = None
    longest_outage: float | None = None
    correlation: float | None = None

    def text(self, like: Statistics | None = None) -> str:
        """In words, Mbit/s, s and shares.

        Parameters
        ----------
        like
            Tell what this one tells, to at least two decimals and as many as it has; by default
            tell all that is known, as it is.
        """
        template = like or self
        parts = {}
        for field in fields(self):
            value, model = getattr(self, field.name), getattr(template, field.name)
            if value is not None and model is not None:
                exact = f"{model:g}"
                decimals = max(2, len(exact.partition(".")[2]))
                label = field.name.replace("_", " ")
                parts[field.name] = f"{label} {exact if like is None else f'{value:.{decimals}f}'}"
        rates = [parts.pop(name) for name in ("mean", "p5", "p50", "p95") if name in parts]
        if "longest_outage" in parts:
            parts["longest_outage"] = f"longest outage {self.longest_outage:g} s"
        return ", ".join([f"{', '.join(rates)} Mbit/s"] * bool(rates) + list(parts.values()))


def measure(rates: Floats) -> Statistics:
    """All statistics of rates (Mbit/s) of consecutive seconds."""
    p5, p50, p95 = np.percentile(rates, [5, 50, 95])
    down = rates == 0
    edges = np.flatnonzero(np.diff(np.concatenate(([0], down.astype(np.int8), [0]))))
    runs = edges[1::2] - edges[::2]
    return Statistics(
        mean=float(rates.mean()),
        p5=float(p5),
        p50=float(p50),
        p95=float(p95),
        outage_share=float(down.mean()),
        longest_outage=float(runs.max(initial=0)),
        correlation=_correlation(rates, ~down),
    )


def _correlation(
    rates: Floats, up: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
) -> float | None:
    """Of neighbouring normal scores; None where there are too few, or all rates are equal."""
    among = np.sort(rates[up])
    pairs = up[:-1] & up[1:]
    if pairs.sum() < 2 or among[0] == among[-1]:
        return None
    # Equal rates share the middle of their ranks.
    ends = np.searchsorted(among, rates, "left") + np.searchsorted(among, rates, "right")
    scores = np.zeros(len(rates))
    scores[up] = normal_quantile(ends[up] / (2 * len(among)))
    first, second = scores[:-1][pairs], scores[1:][pairs]
    if first.std() == 0 or second.std() == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
