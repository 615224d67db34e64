"""Every published figure that is known here, beside what its own inputs imply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

from fsim.audit import published as paper
from fsim.audit.arithmetic import fit_powers, round_energy, transfer_seconds
from fsim.audit.checks import Check, Verdict, check
from fsim.audit.experiments import (
    ABLATIONS,
    ALPHA,
    CLIENTS,
    DROPOUT,
    INFERENCE,
    LOSS,
    POWER,
    ROUND,
    TIME,
    UPLINK,
    Experiment,
)

NOTHING = "an outcome of training or of a measurement"


def published_figures() -> list[Check]:
    """All of them, experiment by experiment."""
    return [
        *_round_breakdown(),
        *_corrected_round(),
        *_headlines(),
        *_outcomes(ALPHA, "alpha", paper.ALPHAS, paper.ACCURACY_BY_ALPHA),
        *_outcomes(CLIENTS, "clients", paper.CLIENTS, paper.HOURS_BY_CLIENTS, "h"),
        *_outcomes(LOSS, "% lost", paper.LOSS_PERCENT, paper.ACCURACY_BY_LOSS),
        *_outcomes(DROPOUT, "% dropped", paper.DROPOUT_PERCENT, paper.DROP_BY_DROPOUT),
        *_power_sweep(),
    ]


def table_powers() -> tuple[Decimal, Decimal]:
    """P_tx and P_comp, watts, that the baselines' energies of the per-round table imply."""
    fit = fit_powers(paper.BASELINES)
    return _decimal(fit.transmit), _decimal(fit.compute)


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)


def _round_breakdown() -> Iterator[Check]:
    transmit, compute = table_powers()
    powers = f"at P_tx = {transmit} W and P_comp = {compute} W, which the baselines fit"
    for row in paper.PER_ROUND:
        key, name = ROUND.key, row.method
        seconds = transfer_seconds(row.payload, paper.PROFILE_A_MBIT_S)
        yield check(key, name, "payload", "MB", row.payload, None, "sizes are not derived")
        yield check(
            key, name, "communication", "s", row.communication, seconds,
            f"8 x {row.payload} Mbit at {paper.PROFILE_A_MBIT_S} Mbit/s",
        )  # fmt: skip
        yield check(key, name, "compute", "s", row.compute, None, "steps and batch not given")
        yield check(
            key, name, "total", "s", row.total, seconds + row.compute,
            f"payload / rate + compute; {row.communication} + {row.compute} s are "
            f"{row.communication + row.compute}",
        )  # fmt: skip
        energy = round_energy(seconds, row.compute, transmit, compute)
        yield check(key, name, "energy", "J", row.energy, energy, powers)


def _corrected_round() -> Iterator[Check]:
    """Fed-FSTQ's row as v3 has it; its payload and compute seconds are those of v1."""
    row = next(row for row in paper.PER_ROUND if row.method == paper.FSTQ)
    key, name = ROUND.key, f"{paper.FSTQ} (v3)"
    seconds = transfer_seconds(row.payload, paper.PROFILE_A_MBIT_S)
    transmit, compute = table_powers()
    at_default = round_energy(seconds, row.compute, paper.DEFAULT_TRANSMIT_W, compute)
    yield check(
        key, name, "total", "s", paper.V3_TOTAL, seconds + row.compute, "payload / rate + compute"
    )
    yield check(
        key, name, "energy", "J", paper.V3_ENERGY,
        round_energy(seconds, row.compute, transmit, compute),
        f"{at_default} J are those of P_tx = {paper.DEFAULT_TRANSMIT_W} W; the baselines of v1's "
        f"table fit {transmit} W",
    )  # fmt: skip


def _power_sweep() -> Iterator[Check]:
    _, compute_w = table_powers()
    rows = {row.method: row for row in paper.PER_ROUND}
    for method, energies in paper.ENERGY_BY_POWER.items():
        row = rows[method]
        seconds = transfer_seconds(row.payload, paper.PROFILE_A_MBIT_S)
        for power, energy in zip(paper.TRANSMIT_W, energies, strict=True):
            implied = round_energy(seconds, row.compute, power, compute_w)
            because = f"P_tx x {seconds} s + {compute_w} W x {row.compute} s"
            if row.communication != seconds:
                because += f"; with {row.communication} s instead all of them fit"
            yield check(POWER.key, method, f"{power} W", "J", energy, implied, because)


def _headlines() -> Iterator[Check]:
    fedavg, fstq = paper.PER_ROUND[0], paper.PER_ROUND[-1]
    name = paper.FSTQ
    yield check(
        ROUND.key, name, "payload ratio", "", paper.PAYLOAD_RATIO,
        fedavg.payload / fstq.payload, f"FedAvg's {fedavg.payload} over {fstq.payload} MB",
    )  # fmt: skip
    yield check(
        ROUND.key, f"{name} (v3)", "total ratio", "", paper.V3_SPEED_UP,
        fedavg.total / paper.V3_TOTAL, f"FedAvg's {fedavg.total} over {paper.V3_TOTAL} s",
    )  # fmt: skip
    yield check(TIME.key, name, "wall-clock saved", "", paper.TIME_SAVED, None, NOTHING)
    yield check(
        TIME.key, name, "the same as a ratio", "", paper.SPEED_UP, 1 / (1 - paper.TIME_SAVED),
        f"1 / (1 - {paper.TIME_SAVED})",
    )  # fmt: skip
    yield check(
        UPLINK.key, name, "cumulative uplink ratio, FedAvg's over it", "", paper.UPLINK_RATIO, None,
        "an outcome; what it would imply is among the cross-checks",
    )  # fmt: skip
    yield check(
        ABLATIONS.key, f"{name} without token pruning", "payload", "MB",
        paper.PAYLOAD_WITHOUT_PRUNING, fstq.payload,
        "shares of coordinates by percentile do not depend on tokens",
    )  # fmt: skip
    yield check(
        INFERENCE.key, name, "speed-up end to end", "", paper.INFERENCE_SPEED_UP, None, NOTHING
    )


def _outcomes(
    experiment: Experiment,
    condition: str,
    columns: Sequence[Decimal | int],
    rows: Mapping[str, Sequence[Decimal]],
    unit: str = "",
) -> Iterator[Check]:
    """Figures that nothing published implies."""
    for method, values in rows.items():
        for column, value in zip(columns, values, strict=True):
            join = "" if condition.startswith("%") else " "
            words = f"{column}{join}{condition}" if unit or join == "" else f"{condition} {column}"
            yield Check(
                experiment.key, method, words, unit, value, None, Verdict.NOT_CHECKABLE, NOTHING
            )
