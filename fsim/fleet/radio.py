"""Radios of clients: the promotion before the first byte after idling, the tail after the last.

A cellular radio without a connection to its cell (RRC_IDLE) is promoted before it sends or receives
anything, and stays connected for the time of its inactivity timers after the last byte, at a power
that is most of an active one's: the tail. A phone that sends little pays for tails nearly alone.

Watts are taken for the radio's alone, which is assumed: the phones were measured as a whole. So the
joules of a tail are added to those of training and of waiting meanwhile. No second has both a
transfer's joules and the radio's: a promotion is no part of the seconds that a transfer is billed
for, by either model of :mod:`fsim.fleet.power`, and a tail begins where they end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fsim.core.registry import Catalog


@dataclass(frozen=True)
class Radio:
    """A kind of radio.

    Attributes
    ----------
    name
        As scenarios write it.
    source
        Where the figures come from.
    promotion
        Seconds from idling until the first byte may be sent.
    promotion_power
        Watts meanwhile.
    tail
        Seconds and watts of each phase after the last byte, in their order; then it idles.
    """

    name: str
    source: str
    promotion: float = 0.0
    promotion_power: float = 0.0
    tail: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        figures = (self.promotion, self.promotion_power, *(x for phase in self.tail for x in phase))
        for figure in figures:
            if not 0 <= figure < math.inf:
                raise ValueError(f"radio {self.name}: found {figure:g}, allowed is 0 or more")

    @property
    def summary(self) -> str:
        """Promotion, tail and the source of both, in one line."""
        if self.is_free:
            return f"no promotion and no tail; {self.source}"
        return (
            f"promotion {self.promotion:g} s at {self.promotion_power:g} W, tail "
            f"{self.tail_seconds:g} s of {self.tail_energy(self.tail_seconds):.3g} J; {self.source}"
        )

    @property
    def is_free(self) -> bool:
        """True if it takes no time and draws nothing of its own."""
        return not self.tail_seconds and not self.promotion

    @property
    def tail_seconds(self) -> float:
        """Seconds from the last byte until it idles."""
        return sum(seconds for seconds, _ in self.tail)

    def promotion_after(self, gap: float) -> float:
        """Seconds of promotion after a gap (seconds) without a byte; ``inf`` if there was none."""
        return self.promotion if gap > self.tail_seconds else 0.0

    def promotion_energy(self, seconds: float) -> float:
        """Joules of so many seconds of a promotion, which may be broken off."""
        return self.promotion_power * seconds

    def tail_energy(self, gap: float) -> float:
        """Joules of the tail within a gap (seconds) without a byte: the integral over its phases.

        Raises
        ------
        ValueError
            A negative gap.
        """
        if not gap >= 0:
            raise ValueError(f"found {gap:g}, allowed is 0 or more")
        joules = 0.0
        for seconds, watts in self.tail:
            joules += watts * min(gap, seconds)
            gap = max(0.0, gap - seconds)
        return joules


HUANG = "Huang et al., MobiSys 2012, Table 3"
"""J. Huang, F. Qian, A. Gerber, Z. M. Mao, S. Sen, O. Spatscheck, "A Close Examination of
Performance and Power Characteristics of 4G LTE Networks", MobiSys 2012. The paper's own total of a
promotion and a whole tail, with one packet between them, is 12.76 J for LTE, 7.38 J for 3G and 0.04
J for Wi-Fi; the figures here make 12.59, 7.38 and 0.04 J."""

NARAYANAN = "Narayanan et al., SIGCOMM 2021, T-Mobile standalone low band"
"""A. Narayanan, X. Zhang, R. Zhu et al., "A Variegated Look at 5G in the Wild: Performance, Power,
and QoE Implications", SIGCOMM 2021. 10.2 s of tail: Figure 25 of its artifact
(github.com/SIGCOMM21-5G/artifact, ``RRC-Probe``). 0.34 s of promotion: of the probes there, the
quickest answer after 13 s or more without a byte, 443 ms, less the median one while connected, 100
ms. 593 mW of tail and 245 mW of promotion: Table 2, by another's transcript of it, not by the paper
itself. RRC_INACTIVE, from 10.2 to 15 s, is taken for idling: probes wait as long in both."""

RADIOS: Catalog[Radio] = Catalog(
    "radio",
    Radio,
    "fsim.fleet.Radio",
    (
        Radio("none", "as if every radio were connected at all times, for nothing"),
        Radio(
            "wifi",
            f"79 ms at 0.12 W and 0.24 s at 0.12 W, 0.04 J together, are left out ({HUANG})",
        ),
        Radio("3g", HUANG, 0.582, 0.6594, ((8.088, 0.8039), (0.824, 0.6013))),
        Radio("lte", HUANG, 0.260, 1.2107, ((11.576, 1.060),)),
        Radio("nr", NARAYANAN, 0.34, 0.245, ((10.2, 0.593),)),
    ),
)
"""Name -> radio. The tail of 3G has two phases, CELL_DCH and CELL_FACH."""
