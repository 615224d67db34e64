"""What is added to every gradient of a client's training, so that clients do not drift apart.

In SCAFFOLD (Karimireddy et al., ICML 2020, algorithm 1) a local step goes along ``g - c_i + c``:
``c - c_i``, the server's control variate less the client's own, is the same in all steps of a
round. It is added after clipping, so that what a client's control variate becomes, the mean of
``g``, is the mean of its clipped gradients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from fsim.core.types import FloatArray
from fsim.model.slots import Slots


def drift_of(drifts: Sequence[FloatArray | None], slots: Slots) -> torch.Tensor | None:
    """What is added to the slots' gradients in every step.

    Parameters
    ----------
    drifts
        Of the clients in the first slots, each flat as an adapter; None for one that adds nothing.
    slots
        Those that are trained.

    Returns
    -------
    torch.Tensor or None
        Of the shape of the slots' gradients; None if nobody adds anything.
    """
    if all(drift is None for drift in drifts):
        return None
    added = torch.zeros_like(slots.values.detach())
    for slot, drift in enumerate(drifts):
        if drift is not None:
            added[slot, : slots.size] = torch.from_numpy(drift)
    return added
