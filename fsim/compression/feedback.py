"""Error feedback: what a payload left out is added to the client's next update.

Seide et al., "1-Bit Stochastic Gradient Descent", Interspeech 2014; Karimireddy et al., "Error
Feedback Fixes SignSGD", ICML 2019, algorithm 1: p = update + e, send C(p), e <- p - C(p). What is
sent is subtracted as the server decodes it, from the very bytes, so that both sides agree on it.

A client keeps its residual from one of its rounds to the next. It takes the upload for received;
under partial participation the residual ages until the client is chosen again.
"""

from __future__ import annotations

from collections.abc import Callable

from fsim.compression.policy import EncodingContext, Policy
from fsim.core.types import FloatArray, Layout

RESIDUAL = "residual"
"""Where a client's memory has it."""


def encode_with_feedback(
    policy: Policy,
    layout: Layout,
    vector: FloatArray,
    context: EncodingContext,
    encode: Callable[[FloatArray], bytes],
) -> bytes:
    """Encode a vector plus the client's residual, and keep what that leaves out.

    Parameters
    ----------
    policy
        Decodes the payload for the residual.
    layout, vector
        The update, flat, shape ``(layout.size,)``.
    context
        Its ``memory`` holds the residual under ``"residual"``, float32, the vector's shape.
    encode
        Makes a payload of the corrected vector.

    Raises
    ------
    ValueError
        The residual in the memory is of another layout.
    """
    residual = context.memory.get(RESIDUAL)
    if residual is not None and residual.shape != vector.shape:
        raise ValueError(
            f"the client's residual has {residual.size} coordinates, the update {vector.size}"
        )
    corrected = vector if residual is None else vector + residual
    payload = encode(corrected)
    context.memory[RESIDUAL] = corrected - layout.flatten(policy.decode(payload, layout))
    return payload
