"""Correction of every gradient of a client's training, for an algorithm with two sides.

In SCAFFOLD (Karimireddy et al., ICML 2020, algorithm 1) a local step goes along ``g - c_i + c``:
``c - c_i``, the server's control variate less the client's own, is the same in all steps of a
round. FedDyn (Acar et al., ICLR 2021) adds a constant as well, and a pull towards where the client
began. Both are added after clipping, so that what a client makes of its steps, the mean of ``g``,
is of its clipped gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from fsim.core.types import FloatArray, GradientCorrection, Layout
from fsim.model.slots import Slots


@dataclass(frozen=True)
class SlotCorrection:
    """A slot's correction (:class:`fsim.core.types.GradientCorrection`).

    Attributes
    ----------
    constant
        Flat as an adapter.
    proximal
        Times the distance from where the slot began.
    """

    constant: FloatArray
    proximal: float = 0.0

    @classmethod
    def of(cls, correction: GradientCorrection, layout: Layout) -> SlotCorrection:
        """A client's correction, flat."""
        return cls(layout.flatten(correction.constant), correction.proximal)


class SlotCorrections:
    """The corrections of all slots, whose values are those that they begin with.

    Parameters
    ----------
    corrections
        Of the clients in the first slots; None for one that adds nothing.
    slots
        Those that are trained.
    """

    def __init__(self, corrections: Sequence[SlotCorrection | None], slots: Slots) -> None:
        self._slots = slots
        values = slots.values.detach()
        self._constant = torch.zeros_like(values)
        rates = torch.zeros(len(values), 1, dtype=values.dtype)
        for slot, correction in enumerate(corrections):
            if correction is not None:
                self._constant[slot, : slots.size] = torch.from_numpy(correction.constant)
                rates[slot] = correction.proximal
        self._start = values.clone() if rates.any() else None
        self._rates = rates.to(values.device)

    def add_to(self, gradients: torch.Tensor) -> None:
        """Add them to the slots' gradients, which have the shape of the slots' values."""
        gradients.add_(self._constant)
        if self._start is not None:
            gradients.addcmul_(self._rates, self._slots.values.detach() - self._start)
