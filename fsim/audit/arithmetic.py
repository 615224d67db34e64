"""Exact arithmetic of the paper's system model: what its figures imply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from fsim.audit.published import RoundCost


def transfer_seconds(megabytes: Decimal, mbit_s: Decimal) -> Decimal:
    """Seconds of a payload over a rate: bits / R, as in the paper's system model.

    *153.6 MB at 20 Mbit/s are 61.44 s.*
    """
    return 8 * megabytes / mbit_s


def round_energy(
    communication: Decimal, compute: Decimal, transmit_w: Decimal, compute_w: Decimal
) -> Decimal:
    """Joules of a round: P_tx x T_comm + P_comp x T_comp."""
    return transmit_w * communication + compute_w * compute


@dataclass(frozen=True)
class Powers:
    """Powers that published energies imply.

    Attributes
    ----------
    transmit, compute
        Watts.
    residuals
        Published energy less what the powers give, J, row by row.
    """

    transmit: Fraction
    compute: Fraction
    residuals: tuple[Fraction, ...]

    @property
    def exact(self) -> bool:
        """True if they give every published energy to the last digit."""
        return not any(self.residuals)


def fit_powers(rows: Sequence[RoundCost]) -> Powers:
    """P_tx and P_comp of least squares, in exact arithmetic.

    Solves the normal equations of energy = P_tx x communication + P_comp x compute over the rows.

    Raises
    ------
    ValueError
        The rows do not determine two powers.
    """
    communication = [Fraction(row.communication) for row in rows]
    computation = [Fraction(row.compute) for row in rows]
    energy = [Fraction(row.energy) for row in rows]
    ss, sw, ww = (
        _dot(communication, communication),
        _dot(communication, computation),
        _dot(computation, computation),
    )
    se, we = _dot(communication, energy), _dot(computation, energy)
    determinant = ss * ww - sw * sw
    if determinant == 0:
        raise ValueError(f"found {len(rows)} rows that do not determine two powers")
    transmit = (se * ww - we * sw) / determinant
    compute = (we * ss - se * sw) / determinant
    residuals = tuple(
        e - transmit * s - compute * w
        for s, w, e in zip(communication, computation, energy, strict=True)
    )
    return Powers(transmit, compute, residuals)


def payload_megabytes(parameters: int, bits: int) -> Decimal:
    """MB of that many coordinates at that many bits each."""
    return Decimal(parameters) * bits / 8 / 1_000_000


def zero_share(coordinates: int) -> float:
    """Expected share of a Laplacian group that 2 bits and one max-abs scale round to 0.

    The paper's quantiser has q_max(2) = 1, so the scale is the largest magnitude M, and a
    coordinate becomes 0 where its magnitude is below M / 2. Magnitudes being exponential, that
    fails with probability exp(-M / 2) in units of their mean. exp(-M) is the least of n uniform
    numbers, Beta(1, n), whose square root has the mean Gamma(3/2) Gamma(n + 1) / Gamma(n + 3/2).

    Parameters
    ----------
    coordinates
        n, those of one LoRA matrix, the paper's group.
    """
    logarithm = math.lgamma(1.5) + math.lgamma(coordinates + 1) - math.lgamma(coordinates + 1.5)
    return 1 - math.exp(logarithm)


def _dot(first: Sequence[Fraction], second: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(first, second, strict=True)), Fraction(0))
