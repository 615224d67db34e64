"""Transfers on the clock: alone, shared, interrupted; schedules worked out by hand."""

import math

import numpy as np
import pytest
import simpy

from fsim.core.errors import TraceError
from fsim.fleet import AlwaysOn, Link, Traced
from fsim.network import Capacity, Fluid, Tcp
from fsim.simulation.shared_links import SharedLinks
from fsim.simulation.transfer import Route, finish_of_work, present_seconds

MBIT = 1e6 / 8


def run(env, process):
    started = env.process(process)
    env.run(started)
    return started.value


def transfers(rates, shared, size=1e6, transport=None, starts=None):
    """Finish times of uploads that begin at given times behind one shared link."""
    env = simpy.Environment()
    medium = SharedLinks(env, [Capacity.constant(shared)])
    route = Route(env, transport or Fluid(), "resume", medium)
    finished = {}

    def upload(number, rate, start):
        yield env.timeout(start)
        link = Link(Capacity.constant(rate), 0.1, path=(0,))
        yield from route.transfer(int(size), link, AlwaysOn())
        finished[number] = env.now

    for number, rate in enumerate(rates):
        env.process(upload(number, rate, (starts or [0.0] * len(rates))[number]))
    env.run()
    return [finished[number] for number in range(len(rates))]


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
