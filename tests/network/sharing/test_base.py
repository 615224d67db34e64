"""Uploads that come and go, and what it costs."""

import math

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.rng import stream
from fsim.network import Capacity
from fsim.network.sharing.uploads import SharedLink, SharedNetwork, finish_times
from tests.network.sharing.sharing_cases import (
    capacities,
    constant,
    durations_agree,
    on_off,
    workloads,
)

# While uploads come and go


@pytest.fixture(params=["link", "network"])
def shared_hundred(request):
    """100 bytes/s, and how to add a flow to it."""
    if request.param == "link":
        link = SharedLink(constant(100.0))
        return link, link.add
    network = SharedNetwork([constant(100.0)])
    return network, lambda time, size, **options: network.add(time, size, [0], **options)


def test_events_are_told_as_they_come(shared_hundred):
    link, add = shared_hundred
    assert link.next_event() is None
    first = add(1.0, 300.0)
    assert link.next_event() == 4.0
    second = add(2.0, 50.0)  # 200 left of the first; 50 each
    assert link.next_event() == 3.0
    assert link.advance(2.5) == []
    assert link.rates() == {first: 50.0, second: 50.0}
    assert link.advance(3.0) == [(second, 3.0)]
    assert link.next_event() == 4.5
    assert link.advance(100.0) == [(first, 4.5)]
    assert (len(link), link.next_event()) == (0, None)


def test_a_flow_that_goes_leaves_its_share(shared_hundred):
    link, add = shared_hundred
    first, second = add(0.0, 1000.0), add(0.0, 1000.0)
    assert link.remove(5.0, second) == pytest.approx(250.0)
    assert link.next_event() == pytest.approx(12.5)
    assert link.remove(6.5, first) == pytest.approx(400.0)
    assert link.next_event() is None
    with pytest.raises(ValueError, match="no flow 0 to remove"):
        link.remove(7.0, first)


def test_a_flow_of_enormous_weight_leaves_nothing_behind():
    # In float64, 1e17 + 1 - 1e17 is 0.
    link = SharedLink(constant(100.0))
    light = link.add(0.0, 1000.0)
    heavy = link.add(1.0, 1e6, constant(1e20), weight=1e17)
    assert link.rates()[heavy] == pytest.approx(100.0)
    link.remove(2.0, heavy)
    assert link.rates() == {light: 100.0}
    # 100 bytes by 1 s, next to none until 2 s.
    assert link.next_event() == pytest.approx(11.0)


def test_a_flow_that_has_finished_cannot_be_taken_back(shared_hundred):
    link, add = shared_hundred
    flow = add(0.0, 100.0)
    assert link.remove(1.5, flow) == 100.0
    assert link.remove(1.5, flow) == 100.0
    assert link.next_event() == 1.5  # there is something to be told
    assert link.advance(2.0) == [(flow, 1.0)]


def test_finishes_at_one_instant_come_by_number(shared_hundred):
    link, add = shared_hundred
    for number in (7, 3, 5):
        add(0.0, 100.0, flow=number)
    assert add(0.0, 1000.0) == 8
    assert [flow for flow, _ in link.advance(4.0)] == [3, 5, 7]


def test_arrivals_departures_and_changes_are_counted():
    # Down until 1 s, up until 2 s, and so on.
    link = SharedLink(on_off(1.0, 2.0))
    link.add(0.0, 50.0)
    gone = link.add(0.5, 1000.0)
    assert link.events == 2
    link.remove(0.75, gone)
    assert link.events == 3
    # The link comes up, and the first one finishes.
    assert link.advance(1.5) == [(0, 1.5)]
    assert link.events == 5
    # Nothing to send comes and goes at once.
    link.add(1.5, 0.0)
    assert link.events == 7


def test_a_clock_may_begin_anywhere():
    for link in (SharedLink(constant(100.0), 7.0), SharedNetwork([constant(100.0)], 7.0)):
        assert link.now == 7.0
        with pytest.raises(ValueError, match=r"found a time of 6\.0 s, allowed is 7 s or later"):
            link.advance(6.0)


@pytest.mark.parametrize("path", [[], [0, 0], [2], [-1], [0, 1, 2]])
def test_a_path_names_links_that_there_are_each_once(path):
    network = SharedNetwork([constant(1.0), constant(1.0)])
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is checked below
        network.add(0.0, 1.0, path)
    assert str(caught.value) == (
        f"found the path {path}, allowed are links from 0 to 1, each at most once"
    )


def test_the_clock_does_not_go_back(shared_hundred):
    link, add = shared_hundred
    add(5.0, 10.0, flow=1)
    for call in (lambda: add(4.0, 1.0), lambda: link.advance(4.0), lambda: link.remove(4.0, 1)):
        with pytest.raises(ValueError, match=r"found a time of 4\.0 s, allowed is 5 s or later"):
            call()
    with pytest.raises(ValueError, match="there is a flow 1 already"):
        add(5.0, 1.0, flow=1)
    with pytest.raises(ValueError, match="found a time of inf s"):
        link.advance(math.inf)


@given(workloads(), capacities(2000), st.lists(st.floats(0, 60), max_size=10))
@settings(max_examples=50, deadline=None)
def test_looking_in_between_changes_nothing(flows, shared, looks):
    link = SharedLink(shared)
    numbered = sorted(enumerate(flows), key=lambda one: one[1].start)
    done = []
    for number, flow in numbered:
        for look in sorted(look for look in looks if link.now <= look < flow.start):
            done += link.advance(look)
        link.add(flow.start, flow.size, flow.cap, flow.weight, number)
    for look in sorted(look for look in looks if look > link.now):
        done += link.advance(look)
    while (event := link.next_event()) is not None:
        done += link.advance(event)
    times = dict(done)
    found = np.array([times[number] for number in range(len(flows))])
    durations_agree(found, finish_times(flows, [shared]), flows, 1e-9)


def test_an_idle_link_is_found_again_where_it_is_by_then():
    link = SharedLink(on_off(1.0, 2.0))
    link.add(0.0, 100.0)
    assert link.advance(1e9) == [(0, 2.0)]
    link.add(1e9 + 0.5, 50.0)  # down until 1e9 + 1
    assert link.next_event() == 1e9 + 1
    assert link.advance(1e9 + 2) == [(1, 1e9 + 1.5)]
    assert link.events < 12


def test_under_a_simpy_clock():
    """How a process of a simulation drives a link: wait for an event or for somebody to come."""
    env, link = simpy.Environment(), SharedLink(constant(100.0))
    finished, changed = {}, [env.event()]

    def serve():
        while True:
            event = link.next_event()
            until = [changed[0]] + ([] if event is None else [env.timeout(event - env.now)])
            yield env.any_of(until)
            finished.update(link.advance(env.now))

    def client(start, size, patience):
        yield env.timeout(start)
        flow = link.add(env.now, size)
        changed[0].succeed()
        changed[0] = env.event()
        yield env.timeout(patience)
        if flow not in finished and size > 900:
            finished[flow] = -link.remove(env.now, flow)
            changed[0].succeed()
            changed[0] = env.event()

    env.process(serve())
    for arguments in ((0.0, 300.0, 50.0), (1.0, 1000.0, 2.0), (2.0, 100.0, 50.0)):
        env.process(client(*arguments))
    env.run(100.0)
    # 100 of the first by 1 s, 150 by 2 s, 1/3 each until 3 s; the second goes with 83 1/3.
    # Then 50 each: the third has 66 2/3 left and the first 116 2/3, 50 when the third is through.
    third = 3 + 2 * (200 / 3) / 100
    assert finished == pytest.approx({1: -(50 + 100 / 3), 2: third, 0: third + 0.5})


# What it costs


def test_a_stall_is_known_after_few_common_periods():
    # Up from 0.05 s on of every 0.1 s, its own for 0.04 s of every 0.3 s.
    link = SharedLink(on_off(0.05, 0.1))
    link.add(0.0, 10.0, Capacity([0.0, 0.04], [100.0, 0.0], 0.3))
    assert link.drain() == []
    assert 0.3 <= link.now < 3 * 0.3


def test_flows_of_one_cap_cross_the_level_together():
    """As many flows as fill the link, then one more and one less in turn: all cross each time."""
    count = 2000
    link = SharedLink(constant(100.0 * count))
    for _ in range(count):
        link.add(0.0, 1e9, constant(100.0))
    for turn in range(100):
        flow = link.add(turn + 0.25, 1e9, constant(100.0))
        link.rates()
        link.remove(turn + 0.75, flow)
        link.rates()
    assert link.crossings <= 210


def test_crossings_stay_few_for_mixed_traffic():
    rng = stream(2, "test.crossings")
    count = 2000
    starts, sizes = rng.uniform(0, 60, count), rng.choice([5e4, 1e6, 8e6], count)
    caps = np.exp(rng.uniform(np.log(5e4), np.log(2.4e6), count))
    link = SharedLink(constant(sizes.sum() / 60))
    for number in np.argsort(starts):
        cap = constant(caps[number])
        if number % 2:
            cap = Capacity([0, 3, 7], caps[number] * np.array([0.1, 1, 0.5]), 11)
        link.add(starts[number], sizes[number], cap)
    assert len(link.drain()) == count
    assert link.events > 2 * count
    assert link.crossings < link.events


def test_memory_follows_the_flows_that_are_there():
    link = SharedLink(constant(1000.0))
    changing = Capacity([0.0, 0.5], [10.0, 20.0], 1.0)
    for _ in range(3):
        link.add(0.0, 1e9, changing)
    for second in range(3000):
        link.remove(second + 0.3, link.add(second, 1e9, changing))
    heaps = [link._changes, link._capped, link._at_level, link._capped_finish, link._level_finish]
    heaps += [group.flows for group in link._groups.values()]
    assert sum(len(heap._heap) for heap in heaps) < 400
