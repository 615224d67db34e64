"""A small model's round, billed as a larger one's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Billing:
    """Factors by which a small model's round is billed as a larger one's.

    Attributes
    ----------
    bytes_factor
        On the length of every payload, up and down.
    operations_factor
        On the operations of training, and on measured seconds a step.
    """

    bytes_factor: float = 1.0
    operations_factor: float = 1.0

    def size(self, length: int) -> int:
        """Bytes that are billed for a payload of that length."""
        return round(length * self.bytes_factor)
