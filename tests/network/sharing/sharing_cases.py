"""What the tests of sharing have in common: small links, workloads, how finishes are compared."""

import numpy as np
from hypothesis import strategies as st

from fsim.network import Capacity
from fsim.network.sharing.uploads import Flow, finish_times


def constant(rate):
    return Capacity.constant(rate)


def on_off(on, period, rate=100.0, offset=0.0):
    """Some rate from the on-th second of each period, before that nothing."""
    return Capacity([0.0, on], [0.0, rate], period, offset=offset)


def both_ways(flows, capacity):
    """Finishes over one shared link, the fast way and as a network with a link that never binds."""
    fast = finish_times(flows, [capacity])
    twice = [Flow(f.start, f.size, f.cap, f.weight, (0, 1)) for f in flows]
    slow = finish_times(twice, [capacity, constant(1e15)])
    np.testing.assert_allclose(fast, slow, rtol=1e-9)
    return fast


@st.composite
def capacities(draw, most=500):
    pieces = draw(st.integers(1, 4))
    gaps = draw(st.lists(st.floats(0.3, 5), min_size=pieces, max_size=pieces))
    rate = st.one_of(st.just(0.0), st.sampled_from([10.0, 50.0]), st.floats(5, most))
    rates = draw(st.lists(rate, min_size=pieces, max_size=pieces).filter(any))
    starts = np.concatenate(([0.0], np.cumsum(gaps)[:-1]))
    past_end = draw(st.sampled_from(["loop", "hold"])) if rates[-1] else "loop"
    offset = draw(st.sampled_from([0.0, 1.3]))
    return Capacity(starts, rates, float(sum(gaps)), past_end, offset)


@st.composite
def workloads(draw, links=1, most=10):
    count = draw(st.integers(1, most))
    flow = st.builds(
        Flow,
        start=st.one_of(st.integers(0, 4).map(float), st.floats(0, 20)),
        size=st.one_of(st.just(0.0), st.floats(1, 3000)),
        cap=st.one_of(st.none(), capacities()),
        weight=st.sampled_from([1.0, 1.0, 2.0, 0.3]),
        path=st.lists(
            st.integers(0, links - 1), min_size=1, max_size=min(links, 3), unique=True
        ).map(tuple),
    )
    return draw(st.lists(flow, min_size=count, max_size=count))


def durations_agree(found, expected, flows, rtol):
    starts = np.array([flow.start for flow in flows])
    np.testing.assert_allclose(found - starts, expected - starts, rtol=rtol, atol=1e-9)
