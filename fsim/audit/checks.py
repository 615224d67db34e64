"""A published figure beside what its own inputs imply."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Verdict on a published figure."""

    CONSISTENT = "consistent"
    CONTRADICTORY = "contradictory"
    NOT_CHECKABLE = "not checkable from the paper"


@dataclass(frozen=True)
class Check:
    """One published figure.

    Attributes
    ----------
    experiment
        Key of the experiment that it belongs to (:mod:`fsim.audit.experiments`).
    subject
        What it is about: a method, as a rule.
    quantity
        Which figure, with its condition.
    unit
        Empty for shares, ratios and counts.
    published
        As published, with its digits; None where the paper gives no number.
    implied
        What the paper's own inputs give, exact; None where they give nothing.
    verdict
        Consistent where ``implied``, rounded half up to the published digits, is what is published.
    because
        The arithmetic, or why there is none.
    """

    experiment: str
    subject: str
    quantity: str
    unit: str
    published: Decimal | None
    implied: Decimal | None
    verdict: Verdict
    because: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON; numbers as numbers."""
        return {
            "experiment": self.experiment,
            "subject": self.subject,
            "quantity": self.quantity,
            "unit": self.unit,
            "published": None if self.published is None else float(self.published),
            "implied": None if self.implied is None else float(self.implied),
            "verdict": str(self.verdict),
            "because": self.because,
        }


def agree(published: Decimal, implied: Decimal) -> Verdict:
    """Verdict on whether a figure, as precisely as it is published, is what its inputs imply."""
    same = implied.quantize(published, ROUND_HALF_UP) == published
    return Verdict.CONSISTENT if same else Verdict.CONTRADICTORY


def check(
    experiment: str,
    subject: str,
    quantity: str,
    unit: str,
    published: Decimal,
    implied: Decimal | None,
    because: str,
) -> Check:
    """A published figure; the verdict follows from the numbers."""
    verdict = Verdict.NOT_CHECKABLE if implied is None else agree(published, implied)
    return Check(experiment, subject, quantity, unit, published, implied, verdict, because)


def number(value: Decimal | None, digits: int = 2) -> str:
    """For reading: no exponent, this many decimals at most, no zeros past the second; or a dash."""
    if value is None:
        return "-"
    places = max(-int(value.as_tuple().exponent), 0)
    text = f"{value.quantize(Decimal(1).scaleb(-min(places, digits)), ROUND_HALF_UP):f}"
    whole, point, decimals = text.partition(".")
    return f"{whole}{point}{decimals[:2]}{decimals[2:].rstrip('0')}"
