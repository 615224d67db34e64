"""Named random streams: every draw in a run says what it is for.

A stream is derived from the scenario's seed, a purpose and the keys it belongs to (a client, a
round), never from a shared generator. A new draw somewhere therefore moves nothing elsewhere, and
two runs that differ in their compression policy see the same clients, data order and weather.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, purpose: str, *keys: int) -> np.random.Generator:
    """The random generator for one purpose.

    Parameters
    ----------
    seed
        The scenario's seed.
    purpose
        What is drawn, for example ``"batches"``; streams of different purposes are independent.
    keys
        Non-negative integers that tell streams of one purpose apart: client, round.

    Returns
    -------
    numpy.random.Generator
        PCG64, the same on every machine for the same arguments.
    """
    name = int.from_bytes(hashlib.sha256(purpose.encode("utf-8")).digest()[:8], "big")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, name, *keys])))


def torch_seed(seed: int, purpose: str, *keys: int) -> int:
    """A seed for PyTorch's generator, derived as :func:`stream` is."""
    return int(stream(seed, purpose, *keys).integers(2**63 - 1))
