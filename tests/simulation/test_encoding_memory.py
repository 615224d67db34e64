"""The most memory that encoding takes."""

import tracemalloc

import numpy as np
import pytest

from fsim.simulation.encoding_memory import EncodingMemory


def take(megabytes):
    """Bytes for a moment; a few are the array's own."""
    return len(np.ones(megabytes * 1_000_000, dtype=np.uint8))


def test_it_is_the_most_at_once_of_all_times_but_the_first():
    memory = EncodingMemory()
    with memory.measured():
        take(9)
    assert memory.peak is None
    with memory.measured():
        take(2)
        take(3)  # the two are gone again
    assert memory.peak == pytest.approx(3_000_000, abs=5000)
    with memory.measured():
        held = np.ones(2_000_000, dtype=np.uint8)
        take(3)
    assert len(held)
    assert memory.peak == pytest.approx(5_000_000, abs=5000)
    with memory.measured():
        take(1)
    assert memory.peak == pytest.approx(5_000_000, abs=5000)
    assert not tracemalloc.is_tracing()


def test_who_traces_for_himself_goes_on_tracing():
    tracemalloc.start()
    try:
        before = np.ones(4_000_000, dtype=np.uint8)
        memory = EncodingMemory()
        for _ in range(2):
            with memory.measured():
                take(1)
        assert memory.peak == pytest.approx(1_000_000, abs=5000)
        assert tracemalloc.is_tracing()
        assert len(before)
    finally:
        tracemalloc.stop()
