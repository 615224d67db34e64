"""Named random streams: every draw in a run says what it is for.

A stream is derived from the scenario's seed, a purpose and the keys it belongs to (a client, a
round), never from a shared generator. A new draw somewhere therefore moves nothing elsewhere, and
two runs that differ in their compression policy see the same clients, data order and weather.
"""

from __future__ import annotations

import hashlib
from functools import cache

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
    words = [*_words(seed), *_name_words(purpose)]
    for key in keys:
        words += [key] if 0 <= key <= _WORD else _words(key)
    # What SeedSequence makes of [seed, name, *keys] itself, in half the time.
    entropy = np.array(words, dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


_WORD = 2**32 - 1


@cache
def _name_words(purpose: str) -> list[int]:
    name = int.from_bytes(hashlib.sha256(purpose.encode("utf-8")).digest()[:8], "big")
    return _words(name)


def _words(number: int) -> list[int]:
    """A number in words of 32 bits, the lowest first."""
    if number < 0:
        raise ValueError(f"seed and keys of a stream: found {number}, allowed is 0 or more")
    words = [number & _WORD]
    while number := number >> 32:
        words.append(number & _WORD)
    return words


def torch_seed(seed: int, purpose: str, *keys: int) -> int:
    """A seed for PyTorch's generator, derived as :func:`stream` is."""
    return int(stream(seed, purpose, *keys).integers(2**63 - 1))
