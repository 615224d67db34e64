"""The queue of an emulated link, packet by packet."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.sockets.emulator import FairPipe, Packet, Path, Pipe, PipeSpec, Topology


def test_a_packet_takes_its_length_over_the_rate_and_waits_for_those_before():
    pipe = Pipe(PipeSpec(((0.0, 8000.0),)))
    assert [pipe.push(0.0, 500), pipe.push(0.1, 500), pipe.push(3.0, 500)] == [0.5, 1.0, 3.5]


def test_a_packet_that_finds_the_queue_full_is_dropped():
    pipe = Pipe(PipeSpec(((0.0, 8000.0),), queue=1000))
    assert [pipe.push(0.0, 500) for _ in range(3)] == [0.5, 1.0, None]
    # The first is through by then.
    assert pipe.push(0.5, 500) == 1.5
    assert pipe.dropped == 1


def test_steps_of_the_rate_are_taken_within_a_packet():
    # 1000 B/s for a second, nothing for two, 2000 B/s then.
    pipe = Pipe(PipeSpec(((0.0, 8000.0), (1.0, 0.0), (3.0, 16000.0))))
    assert pipe.push(0.5, 1000) == pytest.approx(3.25)
    assert pipe.push(4.0, 1000) == pytest.approx(4.5)
    assert Pipe(PipeSpec(((0.0, 0.0),))).push(0.0, 1) == math.inf


def test_losses_are_drawn_behind_the_queue():
    pipe = Pipe(PipeSpec(((0.0, 8e9),), loss=0.1), seed=1)
    lost = [pipe.push(at, 1000) is None for at in range(10_000)]
    assert sum(lost) == pipe.lost
    assert sum(lost) / 10_000 == pytest.approx(0.1, abs=4 * (0.09 / 10_000) ** 0.5)
    again = Pipe(PipeSpec(((0.0, 8e9),), loss=0.1), seed=1)
    assert lost == [again.push(at, 1000) is None for at in range(10_000)]


@given(
    st.lists(st.tuples(st.floats(0, 0.1), st.integers(40, 1500)), min_size=1, max_size=50),
    st.floats(1e4, 1e7),
    st.floats(3000, 1e5),
)
def test_no_more_passes_than_the_rate_allows_and_no_more_waits_than_fits(packets, rate, queue):
    pipe, now, ends = Pipe(PipeSpec(((0.0, rate),), queue)), 0.0, []
    for gap, length in packets:
        now += gap
        waiting = sum(size for end, size in ends if end > now)
        end = pipe.push(now, length)
        if end is None:
            assert waiting + length > queue
            continue
        assert waiting + length <= queue
        before = ends[-1][0] if ends else 0.0
        assert end == pytest.approx(max(now, before) + length * 8 / rate)
        ends.append((end, length))


def test_a_fair_link_serves_its_clients_in_turn():
    # 1000 B/s: two packets of client 0 are there when one of client 1 comes.
    pipe = FairPipe(PipeSpec(((0.0, 8000.0),), queue=1000, fair=True))
    first, second, third = (Packet(who, 0, bytes(500), (), 0.0) for who in (0, 0, 1))
    assert pipe.push(0.0, first) == 0.5
    assert [pipe.push(0.1, second), pipe.push(0.2, third)] == [None, None]
    # A third of client 0 finds its queue full, one of client 1 does not.
    assert pipe.push(0.2, Packet(0, 0, bytes(500), (), 0.0)) is None
    assert pipe.dropped == 1
    assert pipe.pop(0.5) == (first, 1.0)
    assert pipe.pop(1.0) == (third, 1.5)
    assert pipe.pop(1.5) == (second, None)
    assert pipe.push(3.0, first) == 3.5


def test_a_topology_is_passed_on_whole():
    link = PipeSpec(((0.0, 1e6), (2.0, 0.0)), 1e5, 0.01)
    path = Path("c1", (10, 78, 1, 1), link, PipeSpec(((0.0, 2e6),)), 0.08)
    for topology in (
        Topology("s", (path,)),
        Topology("s", (path, path), link, PipeSpec(((0.0, 1e6),), fair=True)),
    ):
        assert Topology.from_json(topology.to_json()) == topology
