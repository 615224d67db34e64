"""Newcomers behind the backlog of a shared link that is a FIFO, worked out by hand."""

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from fsim.fleet import AlwaysOn, Link
from fsim.network import Capacity, Tcp
from fsim.network.transports.connection import Connection
from fsim.simulation.build import build_queues, build_shared_links
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route
from tests.simulation.quadratic import simulate as simulate_quadratic

MBIT = 1e6 / 8
ROUND_TRIP = 0.08
RENO = 0.75 * 60e3 - 10e3
"""Bytes that Reno's mean window keeps waiting over 1 Mbit/s, 80 ms and 50 kB of queue."""


def newcomer(
    queues, size=1448, start=60.0, links=(1.0,), own=1000.0, path=None, connection="persistent",
    bulk="reno", **options
):  # fmt: skip
    """Seconds of an upload over a kept connection that begins so long after a bulk upload."""
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(rate * MBIT) for rate in links], queues)
    path = tuple(range(len(links))) if path is None else path
    seconds = []

    def upload(size, congestion, own, kept=None, **options):
        route = Route(env, Tcp(congestion=congestion, **options), "resume", medium)
        link = Link(Capacity.constant(own * MBIT), ROUND_TRIP, path=path)
        yield from route.transfer(size, link, AlwaysOn(), kept)

    def late():
        kept = Connection()
        yield from upload(1, "cubic", 1000.0, kept, connection=connection)
        yield env.timeout(start)
        began = env.now
        yield from upload(size, "cubic", 1000.0, kept, connection=connection, **options)
        seconds.append(env.now - began)

    env.process(upload(10**8, bulk, own))
    env.run(env.process(late()))
    return seconds[0]


def test_a_packet_waits_for_the_backlog():
    # 1500 B at half of the link, half a round trip, and behind 35 kB.
    plain = 1500 / (MBIT / 2) + ROUND_TRIP / 2
    assert newcomer([None]) == newcomer([]) == pytest.approx(plain)
    assert newcomer([50e3]) == pytest.approx(plain + RENO / MBIT)


def test_so_does_each_round_trip_of_a_handshake():
    plain = ROUND_TRIP + 1500 / (MBIT / 2) + ROUND_TRIP / 2
    fresh = {"connection": "fresh"}
    assert newcomer([50e3], **fresh) == pytest.approx(plain + 2 * RENO / MBIT)
    with_tls = plain + ROUND_TRIP + 3 * RENO / MBIT
    assert newcomer([50e3], **fresh, tls="1.3") == pytest.approx(with_tls)


def test_so_does_each_flight():
    # 20 segments are two flights of 10, each 0.24 s at half of the link: with nothing waiting the
    # first has filled the way by then, and the second follows. Behind 35 kB, 0.28 s, its
    # acknowledgements come after 0.08 s, and the second flight waits for 0.28 s again.
    flight, wait = 15_000 / (MBIT / 2), RENO / MBIT
    assert newcomer([None], 28_960) == pytest.approx(2 * flight + ROUND_TRIP / 2)
    seconds = wait + ROUND_TRIP + wait + flight + ROUND_TRIP / 2
    assert newcomer([50e3], 28_960) == pytest.approx(seconds)


def test_the_issue_in_figures():
    # 5 kB 5 s after a bulk upload began, CUBIC, 150 kB of queue: measured 1.42 s.
    seconds = newcomer([150e3], 5000, start=5.0, connection="fresh", bulk="cubic")
    assert seconds == pytest.approx(1.42, rel=0.15)
    assert newcomer([], 5000, start=5.0, connection="fresh", bulk="cubic") < 0.25


def test_nothing_waits_where_the_own_link_is_the_narrow_one():
    plain = newcomer([None], own=0.5)
    assert newcomer([50e3], own=0.5) == plain


def test_what_waits_does_so_at_the_narrowest_of_several_links():
    # 1 Mbit/s behind 10: the queue of the wide one is empty.
    plain, behind = newcomer([None] * 2, links=(1, 10)), RENO / MBIT
    assert newcomer([50e3, None], links=(1, 10)) == pytest.approx(plain + behind)
    assert newcomer([None, 50e3], links=(1, 10)) == pytest.approx(plain)
    assert newcomer([50e3, 50e3], links=(10, 1)) == pytest.approx(plain + behind)
    assert newcomer([50e3, None], links=(10, 1)) == pytest.approx(plain)


def test_a_queue_empties_with_whoever_filled_it():
    # 10^8 B at 1 Mbit/s are through after 829 s.
    assert newcomer([50e3], start=820.0) > 0.3
    assert newcomer([50e3], start=900.0) == pytest.approx(1500 / MBIT + ROUND_TRIP / 2)


@given(st.integers(1, 10**6), st.floats(1500, 1e6), st.sampled_from(["persistent", "fresh"]))
def test_alone_a_queue_changes_nothing(size, queue, connection):
    def alone(queues):
        env = simpy.Environment()
        medium = SharedLinks(env, [Capacity.constant(MBIT)], queues)
        route = Route(env, Tcp(connection=connection), "resume", medium)
        link = Link(Capacity.constant(10 * MBIT), ROUND_TRIP, path=(0,))
        env.run(env.process(route.transfer(size, link, AlwaysOn())))
        return env.now

    assert alone([queue]) == alone([])


@given(st.integers(1, 10**5), st.floats(1500, 3e5), st.floats(0, 30))
def test_a_newcomer_is_no_earlier_for_a_queue(size, queue, start):
    assert newcomer([queue], size, start) >= newcomer([], size, start) * (1 - 1e-9)


def test_queues_stand_beside_the_links_they_are_of(tiny):
    loaded = tiny(
        fleet__cells={"count": 2, "uplink": "1 Mbit/s", "uplink_queue": "50 kB"},
        server={"ingress": "5 Mbit/s", "egress": "5 Mbit/s", "egress_queue": "150 kB"},
    )
    assert build_queues(loaded.scenario) == ([50e3, 50e3, None], [150e3])
    links = build_shared_links(loaded.scenario)
    assert [len(way) for way in links] == [3, 1]


def test_a_run_waits_for_them(tiny):
    """Of uploads that share a link evenly the first is through before the others come up."""

    def rounds(**server):
        loaded = tiny(
            fleet__uplink={"rate": "80 Mbit/s", "round_trip": "80 ms"},
            fleet__downlink={"rate": "80 Mbit/s", "round_trip": "80 ms"},
            fleet__devices={"laptop": 1.0, "phone-high": 1.0},
            server={"ingress": "8 kbit/s", **server},
            protocol__rounds=3,
        )
        records = simulate_quadratic(loaded).records
        uploads = records[records["kind"] == "upload"]
        assert len(uploads) == 9
        return uploads.groupby("round")["duration_s"].min()

    without, behind = rounds(), rounds(ingress_queue="150 kB")
    assert (behind < without * 0.9).any()
