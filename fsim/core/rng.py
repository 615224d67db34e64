"""Named random streams: every draw in a run says what it is for.

A stream is derived from the scenario's seed, a purpose and the keys it belongs to (a client, a
round), never from a shared generator. A new draw somewhere therefore moves nothing elsewhere, and
two runs that differ in their compression policy see the same clients, data order and weather.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence


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


def participation(client: int, round_number: int, repeat: int = 0) -> tuple[int, ...]:
    """The keys of what is drawn for a client each time that it is asked.

    Parameters
    ----------
    client, round_number
        Who is asked, and in which round.
    repeat
        How often the client was asked before in the same round, as asynchronous protocols do while
        the round stays put. The first time has the keys of client and round alone.
    """
    return (client, round_number, repeat) if repeat else (client, round_number)


_WORD = 2**32 - 1
_FEW = 24
"""Streams that take as long one by one as together."""


def streams(seed: int, purpose: str, keys: Sequence[int]) -> list[np.random.Generator]:
    """The streams of one purpose and many keys, one key each, as :func:`stream` gives them.

    In blocks of a hundred they take a third of the time: NumPy's SeedSequence is worked out for all
    at once (O'Neill, "Developing a seed_seq Alternative", 2015; documented as stable by NumPy).
    """
    first = [*_words(seed), *_name_words(purpose)]
    if len(keys) < _FEW or len(first) > 3 or not (min(keys) >= 0 and max(keys) <= _WORD):
        return [stream(seed, purpose, key) for key in keys]
    entropy = [np.full(len(keys), word, np.uint32) for word in first]
    seeds: list[Any] = [
        _Seeded(state) for state in _seed_states([*entropy, np.array(keys, np.uint32)])
    ]
    return [np.random.Generator(np.random.PCG64(seeded)) for seeded in seeds]


class _Seeded(ISeedSequence):
    """A seed sequence that has been worked out."""

    def __init__(self, state: npt.NDArray[np.uint64]) -> None:
        self._state = state

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> npt.NDArray[Any]:
        """State as PCG64 asks for it: four words of 64 bits."""
        if n_words != len(self._state) or dtype is not np.uint64:
            raise ValueError(f"found {n_words} words of {dtype}, allowed are 4 of uint64")
        return self._state


def _seed_states(entropy: Sequence[npt.NDArray[np.uint32]]) -> npt.NDArray[np.uint64]:
    """``SeedSequence(words).generate_state(4, uint64)`` of many, their words in ``entropy``.

    Parameters
    ----------
    entropy
        At most four arrays, the first, second, ... word of each sequence.

    Returns
    -------
    numpy.ndarray
        Shape (sequences, 4).
    """
    constant = 0x43B0D7E5

    def hashed(values: npt.NDArray[np.uint32], times: int) -> npt.NDArray[np.uint32]:
        nonlocal constant
        values = values ^ np.uint32(constant)
        constant = constant * times & _WORD
        values = values * np.uint32(constant)
        return values ^ (values >> np.uint32(16))

    still = np.zeros_like(entropy[0])
    pool = [hashed(entropy[at] if at < len(entropy) else still, 0x931E8875) for at in range(4)]
    for source in range(4):
        for at in range(4):
            if at != source:
                mixed = np.uint32(0xCA01F9DD) * pool[at]
                mixed = mixed - np.uint32(0x4973F715) * hashed(pool[source], 0x931E8875)
                pool[at] = mixed ^ (mixed >> np.uint32(16))
    constant = 0x8B51F9DD
    words = [hashed(pool[at % 4], 0x58F38DED) for at in range(8)]
    low_first = np.stack(words, axis=1).astype("<u4")
    return np.ascontiguousarray(low_first).view("<u8").astype(np.uint64)


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
