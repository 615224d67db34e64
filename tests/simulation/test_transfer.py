"""Transfers on the clock: alone, shared, interrupted; schedules worked out by hand."""

import math

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from fsim.core.errors import TraceError
from fsim.fleet import AlwaysOn, Link, Traced
from fsim.network import Capacity, Fluid, Tcp
from fsim.network.transports.connection import Connection
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route, finish_of_work, present_seconds

MBIT = 1e6 / 8


def run(env, process):
    started = env.process(process)
    env.run(started)
    return started.value


def transfers(rates, shared, size=1e6, transport=None, starts=None):
    """Finish times of uploads that begin at given times behind one shared link."""
    links = [Capacity.constant(rate) for rate in rates]
    sizes = [int(size)] * len(rates)
    return played(links, shared, sizes, 0.1, transport or Fluid(), starts)[0]


def test_four_links_behind_one_backhaul_by_hand():
    # 1, 2, 4, 8 Mbit/s behind 10 Mbit/s, 1 MB each: 8, 4, 16/7, 16/7 s.
    rates = [rate * MBIT for rate in (1, 2, 4, 8)]
    assert transfers(rates, 10 * MBIT) == pytest.approx([8, 4, 16 / 7, 16 / 7], rel=1e-9)


def test_an_arrival_slows_those_on_their_way():
    # 8 Mbit alone at 4 Mbit/s for 1 s, then both at 2 Mbit/s: the first has 4 Mbit left, 2 s; the
    # second has then sent 4 of its 8 Mbit and goes on at 4 Mbit/s: 1 s more.
    assert transfers([100 * MBIT] * 2, 4 * MBIT, starts=[0.0, 1.0]) == pytest.approx([3.0, 4.0])


def test_a_shared_link_that_is_wide_enough_changes_nothing():
    rates = [rate * MBIT for rate in (1, 3)]
    alone = [Tcp().finish_time(Capacity.constant(rate), 1_000_000, 0, 0.1) for rate in rates]
    assert transfers(rates, 1000 * MBIT, transport=Tcp()) == pytest.approx(alone, rel=1e-9)


MEASURED = [
    (4, 0.04, [2_000_000, 5_000_000], 14.59),
    (5, 0.08, [50_000] * 5, 0.577),
    (1, 0.08, [15_000] * 5, 0.787),
    (2, 0.08, [50_000] * 10, 2.24),
    (2, 0.08, [15_000] * 20, 1.44),
]
"""Mbit/s, round trip (s), payloads begun together, and the last of them acknowledged (s): CUBIC on
Linux sockets, each client's own link as fast as the shared one, the median of three runs."""


@pytest.mark.parametrize(("rate", "round_trip", "sizes", "measured"), MEASURED)
def test_shared_uploads_against_measured_sockets(rate, round_trip, sizes, measured):
    ends, _ = played([Capacity.constant(rate * MBIT)] * len(sizes), rate * MBIT, sizes, round_trip)
    assert max(ends) == pytest.approx(measured, rel=0.1)


class Ledger(SharedLinks):
    """Shared links that note when each transfer over them began and finished."""

    def __init__(self, env, links, queues):
        super().__init__(env, links, queues)
        self.env, self.entries = env, []

    def begin(self, size, path, cap):
        began = self.env.now
        flow, finished = super().begin(size, path, cap)
        finished.callbacks.append(lambda event: self.entries.append((began, self.env.now, size)))
        return flow, finished


def played(links, shared, sizes, round_trip, transport=None, starts=None, queue=None):
    """Ends of uploads that begin at given times behind a shared link, and what it carried."""
    env = simpy.Environment()
    capacity = shared if isinstance(shared, Capacity) else Capacity.constant(shared)
    ledger = Ledger(env, [capacity], [queue])
    route = Route(env, transport or Tcp(), "resume", ledger)

    ends = [0.0] * len(sizes)

    def upload(number, link, size, start):
        yield env.timeout(start)
        yield from route.transfer(size, Link(link, round_trip, path=(0,)), AlwaysOn())
        ends[number] = env.now

    for number, each in enumerate(zip(links, sizes, starts or [0.0] * len(sizes), strict=True)):
        env.process(upload(number, *each))
    env.run()
    return ends, ledger.entries


RATES = st.floats(1e4, 1e7)
UPLOADS = st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 5), RATES), min_size=1, max_size=8)
CELLS = (
    st.lists(RATES | st.just(0.0), min_size=1, max_size=4)
    .filter(any)
    .map(lambda rates: Capacity(np.arange(len(rates)) * 0.7, np.array(rates), len(rates) * 0.7))
)


QUEUES = st.none() | st.floats(1500, 1e6)


@given(UPLOADS, CELLS, st.floats(0.001, 0.5), QUEUES)
def test_no_more_passes_a_shared_link_than_it_can_carry(uploads, shared, round_trip, queue):
    """Of any interval, all transfers within it; slow start is among them, to the last byte."""
    sizes, starts, rates = zip(*uploads, strict=True)
    links = [Capacity.constant(rate) for rate in rates]
    _, entries = played(links, shared, sizes, round_trip, starts=list(starts), queue=queue)
    assert sum(size for *_, size in entries) == pytest.approx(sum(sizes) * 1500 / 1448)
    begins, ends = ({entry[place] for entry in entries} for place in (0, 1))
    for begin in begins:
        for end in ends:
            if begin < end:
                within = sum(size for b, e, size in entries if begin <= b and e <= end)
                assert within <= shared.bytes_between(begin, end) * (1 + 1e-6) + 1e-3


@given(UPLOADS, CELLS, st.floats(0.001, 0.5), QUEUES)
def test_no_last_finish_is_earlier_than_as_a_fluid(uploads, shared, round_trip, queue):
    sizes, starts, rates = zip(*uploads, strict=True)
    links = [Capacity.constant(rate) for rate in rates]
    tcp, fluid = (
        max(played(links, shared, sizes, round_trip, transport, list(starts), fits)[0])
        for transport, fits in ((Tcp(), queue), (Fluid(), None))
    )
    assert tcp >= fluid * (1 - 1e-9)


@given(st.integers(1, 10**7), RATES, RATES, st.floats(0.001, 0.5))
def test_alone_on_a_shared_link_it_is_as_on_ones_own(size, rate, shared, round_trip):
    (finish,), _ = played([Capacity.constant(rate)], shared, [size], round_trip)
    alone = Tcp().finish_time(Capacity.constant(min(rate, shared)), size, 0.0, round_trip)
    # Behind a narrower link the window is known to be full only once a flight has shown it.
    assert finish == pytest.approx(alone, rel=1e-9) or rate > shared
    assert finish >= alone * (1 - 1e-9)
    assert finish <= alone + round_trip


def kept(route_of, steps, availability=None):
    """Seconds that transfers take one after another over one connection; steps are of (direction,
    seconds to wait before, payload)."""
    env, connection, taken = simpy.Environment(), Connection(), []
    routes = {direction: route_of(env, direction) for direction in ("up", "down")}

    def client():
        for direction, pause, size in steps:
            yield env.timeout(pause)
            began = env.now
            link = Link(Capacity.constant(20 * MBIT), 0.08, path=(0,))
            there = availability or AlwaysOn()
            done = yield from routes[direction].transfer(size, link, there, connection)
            assert done.arrived
            taken.append(env.now - began)

    run(env, client())
    return taken


WAYS = {
    "alone": lambda transport: lambda env, way: Route(env, transport, "resume", None, way),
    "shared": lambda transport: (
        lambda env, way: Route(
            env, transport, "resume", SharedLinks(env, [Capacity.constant(1000 * MBIT)]), way
        )
    ),
}
FLIGHT = 15_000 / (20 * MBIT)
"""Seconds of a flight of 10 segments."""


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_is_kept_with_its_window(way):
    # 20 Mbit/s and 80 ms. 14,480 B are one flight, 43,440 B two: 10 and 20 segments.
    steps = [("down", 0, 14_480), ("up", 0, 43_440), ("up", 0.1, 43_440), ("up", 5, 43_440)]
    two, all_at_once = 0.08 + 2 * FLIGHT + 0.04, 3 * FLIGHT + 0.04
    assert kept(WAYS[way](Tcp()), steps) == pytest.approx(
        # The client connects and asks; then it sends two flights; then both at once, for its window
        # has grown; and after five seconds it begins anew.
        [0.12 + FLIGHT + 0.04, two, all_at_once, two]
    )
    fresh = [0.12 + FLIGHT + 0.04, *[0.08 + two] * 3]
    assert kept(WAYS[way](Tcp(connection="fresh")), steps) == pytest.approx(fresh)
    with_tls = [0.2 + FLIGHT + 0.04, two, all_at_once, two]
    assert kept(WAYS[way](Tcp(tls="1.3")), steps) == pytest.approx(with_tls)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("tls", "resumption", "first", "others"),
    [
        ("none", "none", 1, 1), ("1.3", "none", 2, 2), ("1.3", "session", 2, 2),
        ("1.3", "0-rtt", 2, 1), ("1.2", "none", 3, 3), ("1.2", "session", 3, 2),
    ],
)  # fmt: skip
def test_a_session_is_resumed_by_whoever_was_connected_before(way, tls, resumption, first, others):
    transport = Tcp(connection="fresh", tls=tls, resumption=resumption)
    taken = kept(WAYS[way](transport), [("up", 0, 14_480)] * 3)
    trips = [first, others, others]
    assert taken == pytest.approx([0.08 * trip + FLIGHT + 0.04 for trip in trips])


@pytest.mark.parametrize("way", WAYS)
def test_a_client_that_was_away_opens_a_new_connection(way):
    away = Traced(np.array([0.0, 2.0]), np.array([1.0, 99.0]), 100.0)
    steps = [("up", 0, 14_480), ("up", 0, 14_480), ("up", 2, 14_480), ("up", 0, 14_480)]
    new, open_already = 0.08 + FLIGHT + 0.04, FLIGHT + 0.04
    assert kept(WAYS[way](Tcp()), steps, away) == pytest.approx(
        [new, open_already, new, open_already]
    )


def test_a_shared_upload_that_resumes():
    # There for 2 s of every 5: 1 MB at 1 Mbit/s needs four stays, 15 s begun and 2 s more.
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(10 * MBIT)])
    route = Route(env, Fluid(), "resume", medium)
    comes_and_goes = Traced(np.array([0.0]), np.array([2.0]), 5.0)
    link = Link(Capacity.constant(MBIT), 0.1, path=(0,))
    done = run(env, route.transfer(10**6, link, comes_and_goes))
    assert env.now == pytest.approx(17.0)
    assert (done.arrived, done.sent_bytes, done.wasted) == (True, 10**6, 0)
    assert done.active_s == pytest.approx(8.0)


@pytest.mark.parametrize("shared", [False, True])
def test_an_upload_that_is_lost_ends_when_the_client_goes(shared):
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(10 * MBIT)]) if shared else None
    route = Route(env, Fluid(), "lost", medium)
    comes_and_goes = Traced(np.array([0.0]), np.array([2.0]), 5.0)
    link = Link(Capacity.constant(MBIT), 0.1, path=(0,) if shared else ())
    done = run(env, route.transfer(10**6, link, comes_and_goes))
    assert env.now == pytest.approx(2.0)
    assert not done.arrived
    assert done.sent_bytes == done.wasted == pytest.approx(250_000, abs=1)


@pytest.mark.parametrize("shared", [False, True])
def test_an_upload_that_restarts_pays_again(shared):
    # There from 0 to 2 s, and from 5 to 15 s: 250 kB in vain, then 8 s for all.
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(10 * MBIT)]) if shared else None
    route = Route(env, Fluid(), "restart", medium)
    comes_and_goes = Traced(np.array([0.0, 5.0]), np.array([2.0, 15.0]), 20.0)
    link = Link(Capacity.constant(MBIT), 0.1, path=(0,) if shared else ())
    done = run(env, route.transfer(10**6, link, comes_and_goes))
    assert env.now == pytest.approx(13.0)
    assert done.arrived
    assert (done.sent_bytes - done.wasted, done.wasted) == (10**6, pytest.approx(250_000, abs=1))


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize("other", [None, "comes", "goes"])
def test_a_trace_that_ends_is_told_to_its_own_client(links, other):
    # What the one's trace ends by at 5 s is found out by the clock, or by who comes or goes then.
    env, told = simpy.Environment(), {}
    medium = SharedLinks(env, [Capacity.constant(10 * MBIT)] * links)
    ends = Capacity(np.array([0.0]), np.array([MBIT]), 5.0, "error")
    path = tuple(range(links))

    def upload(name, capacity, start, window):
        yield env.timeout(start)
        route, there = Route(env, Fluid(), "lost", medium), Traced(np.array([0.0]), window, 100.0)
        try:
            yield from route.transfer(10**7, Link(capacity, 0.1, path=path), there)
        except TraceError as error:
            told[name] = env.now, str(error)

    other_window = np.array([5.0 if other == "goes" else 90.0])
    if other is not None:
        start = 5.0 if other == "comes" else 0.0
        env.process(upload("other", Capacity.constant(MBIT), start, other_window))
    env.process(upload("one", ends, 0.0, np.array([90.0])))
    env.run(20.0)
    assert told.keys() == {"one"}
    assert told["one"][0] == 5.0
    assert told["one"][1].startswith("the capacity is known for 5 s and a transfer")


def test_two_links_behind_one_another():
    # Two cells of 2 Mbit/s behind an ingress of 3 Mbit/s: one upload in the first cell, two in the
    # second. All get 1 Mbit/s: 8 s for 1 MB.
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(rate * MBIT) for rate in (2, 2, 3)])
    route = Route(env, Fluid(), "resume", medium)
    ends = []

    def upload(path):
        link = Link(Capacity.constant(100 * MBIT), 0.1, path=path)
        yield from route.transfer(10**6, link, AlwaysOn())
        ends.append(env.now)

    for path in ((0, 2), (1, 2), (1, 2)):
        env.process(upload(path))
    env.run()
    assert ends == pytest.approx([8.0, 8.0, 8.0])


def test_work_of_a_client_that_comes_and_goes():
    comes_and_goes = Traced(np.array([0.0]), np.array([2.0]), 5.0)
    assert finish_of_work(3.0, 0.0, comes_and_goes, "resume") == (6.0, 3.0, 6.0)
    assert finish_of_work(1.5, 1.0, comes_and_goes, "restart") == (6.5, 2.5, 6.5)
    assert finish_of_work(3.0, 1.0, comes_and_goes, "lost") == (None, 1.0, 2.0)
    finish, busy, _ = finish_of_work(3.0, 0.0, comes_and_goes, "restart", most_windows=4)
    assert finish is None
    assert busy == pytest.approx(10.0)
    assert finish_of_work(3.0, 7.0, AlwaysOn(), "lost") == (10.0, 3.0, 10.0)


def test_seconds_of_presence():
    comes_and_goes = Traced(np.array([0.0]), np.array([2.0]), 5.0)
    assert present_seconds(comes_and_goes, 1.0, 6.0) == pytest.approx(2.0)
    assert present_seconds(AlwaysOn(), 1.0, 6.0) == 5.0
    assert not math.isinf(present_seconds(AlwaysOn(), 0.0, 1.0))
