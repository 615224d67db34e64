"""Many links at once are so many single links, which test_capacity.py checks by hand."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.network import Capacity, Fluid, Tcp
from fsim.network.transports.transports import Arq, Datagram
from fsim.network.vectorised import CapacityBank, finish_times

MBIT = 1e6 / 8

HANDS = Capacity([0, 3, 6, 9], [4 * MBIT, 1 * MBIT, 0.5 * MBIT, 8 * MBIT])
LOOP = Capacity([0, 2], [1 * MBIT, 3 * MBIT], duration=4)


@st.composite
def shapes(draw):
    gaps = draw(st.lists(st.floats(0.1, 20), min_size=1, max_size=6))
    rate = st.one_of(st.just(0.0), st.floats(1e3, 1e7))
    rates = draw(st.lists(rate, min_size=len(gaps), max_size=len(gaps)))
    starts = np.concatenate(([0.0], np.cumsum(gaps)[:-1]))
    duration = draw(st.sampled_from([float(np.sum(gaps)), math.inf]))
    past_end = draw(st.sampled_from(["loop", "hold"]))
    return Capacity(starts, rates, duration, past_end, draw(st.floats(0, 50)))


@st.composite
def transfers(draw):
    """A bank, and clients, starts, sizes of transfers."""
    clients = draw(st.integers(1, 5))
    among = draw(st.lists(shapes(), min_size=1, max_size=3))
    kind = draw(st.sampled_from([np.float32, np.float64]))

    def column(low, high, count):
        return np.array(draw(st.lists(st.floats(low, high), min_size=count, max_size=count)))

    which = np.array(
        draw(st.lists(st.integers(0, len(among) - 1), min_size=clients, max_size=clients))
    )
    bank = CapacityBank(
        among, which, column(0.1, 10, clients).astype(kind), column(0, 50, clients).astype(kind)
    )
    count = draw(st.integers(1, 8))
    who = np.array(draw(st.lists(st.integers(0, clients - 1), min_size=count, max_size=count)))
    sizes = np.array(
        draw(st.lists(st.one_of(st.just(0), st.integers(1, 10**8)), min_size=count, max_size=count))
    )
    return bank, who, column(0, 1e4, count), sizes


def one_by_one(ask, count):
    """Answers of single links, ``inf`` for those that never end."""
    answers = []
    for at in range(count):
        try:
            answers.append(ask(at))
        except TransferNeverEnds:
            answers.append(math.inf)
    return answers


def test_cases_worked_by_hand():
    bank = CapacityBank([HANDS, LOOP, Capacity.constant(MBIT)], np.array([0, 1, 2, 2]),
                        np.array([1, 1, 2, 4.0]))  # fmt: skip
    finish = bank.finish_times(np.arange(4), 0.0, [5e6, 5e6, 1e6, 1e6])
    assert finish.all_end() == pytest.approx([11.9375, 20.0, 4.0, 2.0], abs=1e-12)
    assert bank.rates_at([0, 1, 2, 3], [7, 7, 7, 7]).tolist() == [
        0.5 * MBIT, 3 * MBIT, 2 * MBIT, 4 * MBIT
    ]  # fmt: skip
    # 1 to 7 s: 8 + 3 + 0.5 Mbit; 1 + 6 + 2 + 3 Mbit of the loop.
    assert bank.bytes_between([0, 1], 1, 7) == pytest.approx([11.5 * MBIT, 12 * MBIT])


@given(transfers())
def test_finish_times_are_those_of_single_links(case):
    bank, who, starts, sizes = case
    found = bank.finish_times(who, starts, sizes)
    alone = one_by_one(
        lambda at: bank.capacity(who[at]).finish_time(float(starts[at]), float(sizes[at])),
        len(who),
    )
    assert found.seconds == pytest.approx(alone, rel=1e-12)
    assert found.never.tolist() == np.isinf(alone).tolist()


@given(transfers(), st.floats(0, 1e3))
def test_rates_and_bytes_are_those_of_single_links(case, length):
    bank, who, starts, _ = case
    rates, areas = bank.rates_at(who, starts), bank.bytes_between(who, starts, starts + length)
    for at, client in enumerate(who):
        capacity, start = bank.capacity(client), float(starts[at])
        assert rates[at] == capacity.rate_at(start)
        expected = capacity.bytes_between(start, start + length)
        assert areas[at] == pytest.approx(expected, rel=1e-12)


@settings(max_examples=60)
@given(
    transfers(),
    st.floats(0, 0.5),
    st.sampled_from([Fluid(), Tcp(), Arq(0.2), Datagram(0.1)]),
)
def test_transports_of_many_are_those_of_single_links(case, round_trip, transport):
    bank, who, starts, sizes = case
    sizes = np.minimum(sizes, 10_000)
    trips = round_trip * (1 + np.arange(len(who)))
    found = finish_times(transport, bank, who, sizes, starts, trips)
    # Scaled in the same order, for the last bit decides where a transfer ends at an outage's edge.
    share = 0.8 if isinstance(transport, Arq) else 1.0
    scaled, alike = bank.scaled(share), Tcp() if isinstance(transport, Arq) else transport
    alone = one_by_one(
        lambda at: alike.finish_time(
            scaled.capacity(who[at]), int(sizes[at]), float(starts[at]), float(trips[at])
        ),
        len(who),
    )
    assert found.seconds == pytest.approx(alone, rel=1e-12)


@given(transfers())
def test_what_was_sent_is_what_was_delivered(case):
    bank, who, starts, sizes = case
    found = bank.finish_times(who, starts, sizes)
    ends = ~found.never
    seconds = found.seconds[ends]
    assert np.all(seconds >= starts[ends])
    sent = bank.bytes_between(who[ends], starts[ends], seconds)
    assert sent == pytest.approx(sizes[ends], rel=1e-6, abs=1e-2)


@given(transfers(), st.floats(1, 100))
def test_more_capacity_never_finishes_later(case, factor):
    bank, who, starts, sizes = case
    slow = bank.finish_times(who, starts, sizes).seconds
    fast = bank.scaled(factor).finish_times(who, starts, sizes).seconds
    assert np.all(fast <= slow * (1 + 1e-9) + 1e-9)


@given(transfers(), st.integers(1, 10**7))
def test_sending_in_two_parts_takes_as_long(case, more):
    bank, who, starts, sizes = case
    first = bank.finish_times(who, starts, sizes)
    ends = ~first.never
    second = bank.finish_times(who[ends], first.seconds[ends], more)
    at_once = bank.finish_times(who[ends], starts[ends], sizes[ends] + more)
    # Where the first part ends at the edge of an outage, rounding may place it on either side.
    both = ~second.never & ~at_once.never
    begin, clients = starts[ends][both], who[ends][both]
    assert bank.bytes_between(clients, begin, second.seconds[both]) == pytest.approx(
        bank.bytes_between(clients, begin, at_once.seconds[both]), rel=1e-6, abs=1e-2
    )


@given(transfers(), st.sampled_from([0.25, 0.5, 2.0, 4.0, 8.0]))
def test_stretching_time_stretches_the_finish(case, factor):
    bank, who, starts, sizes = case
    among = [
        Capacity(s.starts * factor, s.rates / factor, s.duration * factor, s.past_end,
                 s.offset * factor)
        for s in bank.shapes
    ]  # fmt: skip
    stretched = CapacityBank(among, bank.which, bank.scales, bank.offsets * factor)
    expected = bank.finish_times(who, starts, sizes).seconds * factor
    # Powers of two leave every digit as it is.
    found = stretched.finish_times(who, starts * factor, sizes).seconds
    assert found == pytest.approx(expected, rel=1e-12)


def test_what_never_ends_is_marked_and_the_first_client_named():
    dead = Capacity([0, 5], [10.0, 0.0])
    bank = CapacityBank([Capacity.constant(10.0), dead], np.array([0, 1, 0, 1]))
    found = bank.finish_times([0, 2, 3, 1], 0, 1000)
    assert found.seconds.tolist() == [100, 100, math.inf, math.inf]
    assert found.never.tolist() == [False, False, True, True]
    with pytest.raises(TransferNeverEnds, match=r"client 3: 1000 bytes sent at 0 s never arrive"):
        found.all_end()
    slow = finish_times(Tcp(), bank, [1, 0], [10, 10**6], 0.0, 0.1)
    assert slow.never.tolist() == [False, False]
    assert finish_times(Tcp(), bank, [1], [10**6], 0.0, 0.1).never.tolist() == [True]


def test_a_flight_that_never_arrives_is_marked():
    # 20 Mbit/s for 100 ms, then nothing: the flights of slow start are what is lost.
    bank = CapacityBank([Capacity([0, 0.1], [20 * MBIT, 0.0])], np.array([0]))
    found = finish_times(Tcp(), bank, [0], [10**7], 0.0, 0.08)
    assert found.never.tolist() == [True]
    with pytest.raises(TransferNeverEnds, match="client 0: 10000000 bytes sent at 0 s"):
        found.all_end()


def test_end_of_a_staircase_with_error_past_it():
    bank = CapacityBank(
        [Capacity([0], [100.0], duration=2, past_end="error"), Capacity.constant(1.0)],
        np.array([1, 0]),
    )
    assert bank.finish_times([1], 0, 200).seconds.tolist() == [2.0]
    assert bank.bytes_between([1], 0, 2).tolist() == [200.0]
    for ask in (
        lambda: bank.finish_times([0, 1], 0, 201),
        lambda: bank.finish_times([0, 1], 3, 1),
        lambda: bank.rates_at([0, 1], 3),
        lambda: bank.bytes_between([0, 1], 0, 3),
    ):
        with pytest.raises(TraceError, match=r"client 1: the capacity is known for 2 s"):
            ask()
    assert bank.finish_times([1], 3, 0).seconds.tolist() == [3.0]


@pytest.mark.parametrize(
    ("which", "scales", "offsets", "message"),
    [
        ([0, 1], None, None, "client 1: found 1, allowed are 0 to 0"),
        ([0, -1], None, None, "client 1: found -1"),
        ([0.0, 0.0], None, None, "allowed are integers"),
        ([0, 0], [1.0], None, "columns of one length"),
        ([0, 0], [1.0, 0.0], None, "client 1: found 0, allowed are factors of 1e-30 to 1e"),
        ([0, 0], [math.nan, 1.0], None, "client 0: found nan, allowed are factors"),
        ([0, 0], None, [0.0, -1.0], "client 1: found -1, allowed are offsets"),
        ([0, 0], None, [math.inf, 1.0], "client 0: found inf, allowed are offsets"),
    ],
)
def test_not_a_bank(which, scales, offsets, message):
    with pytest.raises(TraceError, match=message):
        CapacityBank(
            [LOOP],
            np.array(which),
            None if scales is None else np.array(scales),
            None if offsets is None else np.array(offsets),
        )


def test_not_a_transfer():
    bank = CapacityBank([LOOP], np.array([0, 0]))
    for starts, sizes in ((-1, 1), (0, -1), (math.nan, 1), (0, math.inf)):
        with pytest.raises(ValueError, match="client 1: found"):
            bank.finish_times([1, 0], starts, sizes)


def test_no_transfers_at_all():
    bank = CapacityBank([LOOP], np.array([0]))
    none = np.array([], dtype=int)
    assert len(bank.finish_times(none, [], []).all_end()) == 0
    assert len(finish_times(Tcp(), bank, none, [], [], []).all_end()) == 0


def test_drawn_means_offsets_and_shapes():
    rng = np.random.default_rng(3)
    means = rng.lognormal(12, 1, 20_000)
    bank = CapacityBank.draw([HANDS, LOOP], 20_000, rng, means)
    assert len(bank) == 20_000
    for client in (0, 7, 19_999):
        # Scales are kept in single precision.
        assert bank.capacity(client).mean == pytest.approx(means[client], rel=1e-6)
    # 4 standard errors of 20,000 uniform draws.
    assert np.mean(bank.which) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(20_000))
    offsets = bank.offsets[bank.which == 1]
    assert 0 <= offsets.min() <= offsets.max() <= 4
    assert np.mean(offsets) == pytest.approx(2, abs=4 * 4 / math.sqrt(12 * 10_000))
    assert not bank.offsets[bank.which == 0].any()  # it never ends: there is no moment to draw
    still = CapacityBank.draw([LOOP], 3, rng, random_offset=False)
    assert still.offsets.tolist() == [0, 0, 0]
    with pytest.raises(TraceError, match="cannot be scaled"):
        CapacityBank.draw([Capacity.constant(0.0)], 3, rng, means[:3])


def test_a_million_clients_take_little_memory():
    clients = 1_000_000
    rng = np.random.default_rng(0)
    trace = Capacity(np.arange(1200.0), rng.lognormal(12, 1, 1200), 1200)
    tracemalloc.start()
    try:
        up = CapacityBank.draw([trace, LOOP], clients, rng, rng.lognormal(12, 1, clients))
        down = CapacityBank.draw([trace, LOOP], clients, rng, rng.lognormal(14, 1, clients))
        round_trips = rng.uniform(0.02, 0.3, clients).astype(np.float32)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held / clients < 100
    assert peak / clients < 500
    assert up.nbytes + down.nbytes + round_trips.nbytes <= held
