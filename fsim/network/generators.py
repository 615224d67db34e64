"""Generators of capacity traces with the statistics of recorded uplinks.

The rate of second t is Q(r_t): z is a first-order autoregressive Gaussian process, r_t the rank of
z_t among all seconds as a share, and Q the quantile function that interpolates log-linearly between
published quantiles. So the trace has the published distribution, and neighbouring seconds resemble
each other. The highest rate is the one free quantity; it is solved for so that Q has the published
mean.

    python -m fsim.network.generators lte-driving --seed 0 --seconds 600 --out FILE.csv
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fsim.streams import stream


@dataclass(frozen=True)
class UplinkStatistics:
    """Published statistics of a recorded uplink over 1 s bins, in Mbit/s.

    Attributes
    ----------
    floor
        The lowest rate; not published, chosen.
    correlation
        Of neighbouring seconds of the Gaussian process; not published, chosen.
    """

    source: str
    mean: float
    p5: float
    p50: float
    p95: float
    floor: float
    correlation: float


UPLINKS: dict[str, UplinkStatistics] = {
    "lte-driving": UplinkStatistics(
        "ATT LTE driving 2016, mahimahi recording", 1.91, 0.03, 1.57, 4.79, 0.005, 0.9
    ),
    "lte-stationary": UplinkStatistics(
        "Verizon LTE stationary, mahimahi recording", 5.95, 1.2, 5.7, 11.4, 0.3, 0.8
    ),
}

_NODES = np.array([0.0, 0.05, 0.5, 0.95, 1.0])


def quantile_function(
    statistics: UplinkStatistics, highest: float, share: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Q: rate (Mbit/s) below which a share of the seconds lies, log-linear between the nodes."""
    s = statistics
    return np.exp(np.interp(share, _NODES, np.log([s.floor, s.p5, s.p50, s.p95, highest])))


def highest_rate(statistics: UplinkStatistics) -> float:
    """The top of Q for which its mean is the published one, Mbit/s, by bisection.

    Raises
    ------
    ValueError
        No top reaches the published mean.
    """
    grid = (np.arange(200_000) + 0.5) / 200_000

    def mean(highest: float) -> float:
        return float(quantile_function(statistics, highest, grid).mean())

    low, high = statistics.p95, statistics.p95 * 1000
    if not mean(low) <= statistics.mean <= mean(high):
        raise ValueError(
            f"{statistics.source}: a mean of {statistics.mean} does not fit its quantiles, "
            f"which allow {mean(low):.2f} to {mean(high):.2f}"
        )
    while high - low > 1e-9 * low:
        middle = (low + high) / 2
        low, high = (middle, high) if mean(middle) < statistics.mean else (low, middle)
    return low


def generate(statistics: UplinkStatistics, seconds: int, seed: int) -> npt.NDArray[np.float64]:
    """Rates of consecutive seconds, Mbit/s, shape (seconds,)."""
    noise = stream(seed, f"trace.{statistics.source}").standard_normal(seconds)
    rho = statistics.correlation
    z = np.empty(seconds)
    z[0] = noise[0]
    for t in range(1, seconds):
        z[t] = rho * z[t - 1] + math.sqrt(1 - rho**2) * noise[t]
    shares = (np.argsort(np.argsort(z)) + 0.5) / seconds
    return quantile_function(statistics, highest_rate(statistics), shares)


def write_csv(name: str, seconds: int, seed: int, path: Path) -> None:
    """Generate a trace and write it as generic CSV, its making told in its first lines."""
    statistics = UPLINKS[name]
    rates = generate(statistics, seconds, seed)
    p5, p50, p95 = np.percentile(rates, [5, 50, 95])
    lines = [
        f"# made by: python -m fsim.network.generators {name} --seed {seed} --seconds {seconds}",
        f"# statistics: {statistics.source}: mean {statistics.mean}, "
        f"p5 {statistics.p5}, p50 {statistics.p50}, p95 {statistics.p95} Mbit/s",
        f"# this trace: mean {rates.mean():.2f}, p5 {p5:.2f}, p50 {p50:.2f}, p95 {p95:.2f} Mbit/s",
        "time_s,rate_kbit_s",
        *(f"{second},{rate * 1000:.1f}" for second, rate in enumerate(rates)),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate a capacity trace.")
    parser.add_argument("name", choices=UPLINKS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    write_csv(arguments.name, arguments.seconds, arguments.seed, arguments.out)
