"""Figures that the Fed-FSTQ paper publishes, as data.

arXiv 2604.25421, IEEE TMC 2026, doi 10.1109/TMC.2026.3711494: of v1 where nothing else is said;
what v3 (July 2026) is known to correct has names of its own. Each figure keeps the digits that it
is published with. Tables are named by what they show (:mod:`fsim.audit.experiments`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal as D  # noqa: N817 - a table of numbers is to be readable

PAPER = "arXiv 2604.25421"

FEDAVG, QSGD, FSTQ = "FedAvg-LoRA", "QSGD 4-bit", "Fed-FSTQ"
FEDPAQ, FEDBAT, FEDTOME = "FedPAQ", "FedBAT", "Fed-ToMe"


@dataclass(frozen=True)
class RoundCost:
    """A row of the per-round table.

    Attributes
    ----------
    payload
        MB (10^6 bytes: 1024 of them take 409.60 s at 20 Mbit/s).
    communication, compute, total
        Seconds.
    energy
        Joules.
    """

    method: str
    payload: D
    communication: D
    compute: D
    total: D
    energy: D


PROFILE_A_MBIT_S = D("20")
"""Uplink of profile A, the same for all clients."""

PER_ROUND: tuple[RoundCost, ...] = (
    RoundCost(FEDAVG, D("1024"), D("409.60"), D("5.00"), D("414.60"), D("634.40")),
    RoundCost(QSGD, D("256"), D("102.40"), D("5.50"), D("107.90"), D("175.60")),
    RoundCost(FEDPAQ, D("819.2"), D("327.68"), D("5.25"), D("332.93"), D("512.52")),
    RoundCost(FEDBAT, D("128"), D("51.20"), D("7.50"), D("58.70"), D("106.80")),
    RoundCost(FEDTOME, D("512"), D("204.80"), D("6.50"), D("211.30"), D("333.20")),
    RoundCost(FSTQ, D("153.6"), D("55.20"), D("5.85"), D("61.05"), D("98.50")),
)
BASELINES = tuple(row for row in PER_ROUND if row.method != FSTQ)

V3_TOTAL, V3_ENERGY, V3_SPEED_UP = D("67.29"), D("146.28"), D("6.16")
"""Fed-FSTQ's seconds and joules a round, and FedAvg's seconds over them, as corrected in v3."""

DEFAULT_TRANSMIT_W = D("2.0")
"""P_tx, where the system model is set out."""

TRANSMIT_W = (D("0.1"), D("0.5"), D("1"), D("2"), D("5"))
ENERGY_BY_POWER: Mapping[str, tuple[D, ...]] = {
    FEDAVG: (D("60.96"), D("224.80"), D("429.60"), D("839.20"), D("2068")),
    FSTQ: (D("28.92"), D("51.00"), D("78.60"), D("133.80"), D("299.40")),
}
"""Joules of a round in profile A at each of these powers."""

ALPHAS = (D("0.1"), D("0.5"), D("1.0"))
ACCURACY_BY_ALPHA: Mapping[str, tuple[D, ...]] = {
    FEDAVG: (D(".1781"), D(".4372"), D(".5032")),
    QSGD: (D(".0396"), D(".3633"), D(".4338")),
    FSTQ: (D(".5120"), D(".5735"), D(".6019")),
}

CLIENTS = (10, 50, 100)
HOURS_BY_CLIENTS: Mapping[str, tuple[D, ...]] = {
    FEDAVG: (D("11.74"), D("19.14"), D("28.77")),
    QSGD: (D("4.93"), D("8.87"), D("14.01")),
    FSTQ: (D("3.38"), D("5.85"), D("8.45")),
}
"""Rows in the order of the other tables of three methods."""

LOSS_PERCENT = (0, 5, 10, 15, 20)
"""The paper's range is 0 to 20% in five columns, taken to be evenly spaced."""

ACCURACY_BY_LOSS: Mapping[str, tuple[D, ...]] = {
    FEDAVG: (D(".65"), D(".582"), D(".495"), D(".41"), D(".342")),
    FSTQ: (D(".66"), D(".645"), D(".618"), D(".595"), D(".579")),
}

DROPOUT_PERCENT = (0, 30, 50, 70)
DROP_BY_DROPOUT: Mapping[str, tuple[D, ...]] = {
    FEDAVG: (D("0"), D(".05"), D(".15"), D(".40")),
    FSTQ: (D("0"), D(".01"), D(".04"), D(".10")),
}
"""Accuracy lost; rows in the order of the packet loss table."""

PAYLOAD_WITHOUT_PRUNING = D("512")
"""MB, of the ablation without token pruning."""

UPLINK_RATIO = D("46")
"""Times less cumulative uplink than FedAvg to :data:`UPLINK_TARGET`, at alpha 0.1."""

UPLINK_TARGET = D(".60")
PAYLOAD_RATIO = D("6.67")
TIME_SAVED = D(".52")
"""Share of the wall-clock to the target that is saved over FedAvg."""

SPEED_UP = D("2.1")
"""The same as a ratio."""

INFERENCE_SPEED_UP = D("1.55")
RANK = 16
DEVICE_MEMORY_GB = D("8")
"""Of the Jetson Orin Nano that the paper names."""
