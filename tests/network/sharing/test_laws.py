"""What must hold for every workload, and agreement with sharing worked out the slow way."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fsim.core.rng import stream
from fsim.network.sharing.max_min import max_min_rates
from fsim.network.sharing.uploads import Flow, SharedLink, finish_times
from tests.network.sharing import naive_sharing
from tests.network.sharing.sharing_cases import (
    both_ways,
    capacities,
    constant,
    durations_agree,
    workloads,
)


@given(workloads(), capacities(2000))
@settings(max_examples=50, deadline=None)
def test_one_link_as_worked_out_naively(flows, shared):
    found = both_ways(flows, shared)
    durations_agree(found, np.array(naive_sharing.finish_times(flows, [shared])), flows, 1e-8)


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_several_links_as_worked_out_naively(data):
    links = data.draw(st.lists(capacities(2000), min_size=2, max_size=4))
    flows = data.draw(workloads(len(links)))
    # Links that are up at different times can keep flows for ever, or nearly.
    horizon = 300.0
    expected = np.array(naive_sharing.finish_times(flows, links, horizon))
    found = finish_times(flows, links)
    assert np.all(found[np.isinf(expected)] > horizon * (1 - 1e-9))
    known = np.flatnonzero(np.isfinite(expected))
    durations_agree(found[known], expected[known], [flows[number] for number in known], 1e-8)


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_rates_are_max_min_fair(data):
    """Bertsekas and Gallager's criterion: everyone is at his cap or has a bottleneck.

    A bottleneck of a flow is a link on its path that is used up and on which no other flow has more
    for its weight.
    """
    links = data.draw(st.integers(1, 4))
    amounts = st.one_of(st.just(0.0), st.floats(1, 1000))
    capacity = np.array(data.draw(st.lists(amounts, min_size=links, max_size=links)))
    flows = data.draw(st.lists(st.tuples(amounts, st.floats(0.1, 10)), min_size=1, max_size=12))
    caps, weights = np.array(flows).T
    chosen = st.lists(st.integers(0, links - 1), min_size=1, max_size=links, unique=True)
    ways = data.draw(st.lists(chosen, min_size=len(flows), max_size=len(flows)))
    paths = np.array([way + [-1] * (links - len(way)) for way in ways])
    rates = max_min_rates(caps, weights, paths, capacity)
    assert np.all(rates <= caps * (1 + 1e-9))
    across = np.array([[link in way for way in ways] for link in range(links)])
    used = across @ rates
    assert np.all(used <= capacity * (1 + 1e-9))
    for number, way in enumerate(ways):
        share = rates / weights
        bottlenecks = [
            link
            for link in way
            if used[link] >= capacity[link] * (1 - 1e-9)
            and share[number] >= share[across[link]].max() * (1 - 1e-9)
        ]
        assert rates[number] >= caps[number] * (1 - 1e-9) or bottlenecks


@pytest.mark.parametrize("service", ["exponential", "two sizes"])
def test_processor_sharing_law(service):
    """M/G/1-PS: the mean sojourn is E[S] / (1 - rho), whatever the distribution of service.

    Kleinrock, Queueing Systems 2, 1976, section 4.4.
    """
    rng = stream(1, f"test.sharing.{service}")
    load, count, batches = 0.6, 60_000, 30
    starts = np.cumsum(rng.exponential(1 / load, count))
    if service == "exponential":
        sizes = rng.exponential(1.0, count)
    else:  # squared coefficient of variation 4
        sizes = np.where(rng.random(count) < 0.1, 7.0, 1 / 3)
    flows = [Flow(start, size) for start, size in zip(starts, sizes, strict=True)]
    sojourns = finish_times(flows, [constant(1.0)]) - starts
    means = sojourns[count // 10 :].reshape(batches, -1).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(batches)
    assert error < 0.1
    assert means.mean() == pytest.approx(1 / (1 - load), abs=3 * error)


# What must hold for every workload


@given(workloads(), capacities(2000))
@settings(max_examples=50, deadline=None)
def test_no_capacity_is_wasted_and_none_invented(flows, shared):
    link = SharedLink(shared)
    delivered, finished, time = 0.0, 0, 0.0
    waiting = sorted(flows, key=lambda flow: flow.start)
    while waiting or len(link):
        upcoming = [flow.start for flow in waiting[:1]]
        event = link.next_event()
        after = min([*upcoming, *([] if event is None else [event])])
        if len(link) and after > time:
            middle = (time + after) / 2
            rates = link.rates()
            capacity = naive_sharing.rate_of(shared, middle)[0]
            wanted = sum(naive_sharing.rate_of(flows[number].cap, middle)[0] for number in rates)
            assert sum(rates.values()) == pytest.approx(min(capacity, wanted), rel=1e-9)
            delivered += sum(rates.values()) * (after - time)
        time = after
        finished += len(link.advance(time))
        while waiting and waiting[0].start <= time:
            flow = waiting.pop(0)
            number = next(n for n, one in enumerate(flows) if one is flow)
            link.add(time, flow.size, flow.cap, flow.weight, number)
    finished += len(link.advance(time))
    assert finished == len(flows)
    assert delivered == pytest.approx(sum(flow.size for flow in flows), rel=1e-9, abs=1e-9)


@given(workloads(), capacities(2000), st.floats(1, 3))
@settings(max_examples=50, deadline=None)
def test_more_shared_capacity_makes_nobody_later(flows, shared, factor):
    """On one link. Over several it need not be so: who is done sooner may be in another's way."""
    more = finish_times(flows, [shared.scaled(factor)])
    assert np.all(more <= finish_times(flows, [shared]) * (1 + 1e-9) + 1e-9)


@given(workloads(), capacities(2000))
@settings(max_examples=50, deadline=None)
def test_one_flow_less_makes_nobody_later(flows, shared):
    fewer = finish_times(flows[1:], [shared])
    assert np.all(fewer <= finish_times(flows, [shared])[1:] * (1 + 1e-9) + 1e-9)


@given(workloads(), capacities(2000), st.sampled_from([1e-6, 1e-3, 7.0, 1e9]))
@settings(max_examples=50, deadline=None)
def test_the_unit_of_bytes_does_not_matter(flows, shared, unit):
    other = [
        Flow(f.start, f.size * unit, f.cap and f.cap.scaled(unit), f.weight * 3, f.path)
        for f in flows
    ]
    durations_agree(
        finish_times(other, [shared.scaled(unit)]), finish_times(flows, [shared]), flows, 1e-9
    )


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_the_order_of_flows_does_not_matter(data):
    flows, shared = data.draw(workloads()), data.draw(capacities(2000))
    order = data.draw(st.permutations(range(len(flows))))
    shuffled = finish_times([flows[number] for number in order], [shared])
    durations_agree(
        shuffled, finish_times(flows, [shared])[list(order)], [flows[n] for n in order], 1e-9
    )
