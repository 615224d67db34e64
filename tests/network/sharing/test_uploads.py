"""Finish times worked out by hand, the ends of the range, and SimGrid's."""

import json
import math

import numpy as np
import pytest

from fsim.core.errors import TraceError, TransferNeverEnds
from fsim.core.rng import stream
from fsim.network import Capacity
from fsim.network.sharing import base as online
from fsim.network.sharing.uploads import Flow, finish_times
from tests.conftest import ROOT
from tests.network.sharing.sharing_cases import (
    both_ways,
    constant,
    on_off,
)

ORACLE = ROOT / ".." / "shared" / "reference" / "fluid_oracle.json"
MBIT = 1e6 / 8


# Worked by hand


def test_four_links_share_a_backhaul():
    flows = [Flow(0.0, 1e6, constant(rate * MBIT)) for rate in (1, 2, 4, 8)]
    expected = [8.0, 4.0, 16 / 7, 16 / 7]
    assert both_ways(flows, constant(10 * MBIT)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("capacity", "finish"),
    [
        (Capacity([0, 3, 6, 9], [4 * MBIT, MBIT, MBIT / 2, 8 * MBIT]), 11.9375),
        (Capacity([0, 2], [MBIT, 3 * MBIT], duration=4), 20.0),
    ],
)
def test_one_flow_over_changing_capacity(capacity, finish):
    alone = Flow(0.0, 5e6, capacity)
    assert both_ways([alone], constant(1e9)) == pytest.approx([finish], rel=1e-12)
    assert both_ways([Flow(0.0, 5e6)], capacity) == pytest.approx([finish], rel=1e-12)
    assert finish_times([Flow(0.0, 5e6, capacity, path=())], []) == pytest.approx([finish])


def test_weights_divide_the_level():
    # 25 and 75 bytes/s; the second ends at 4 s with 100 of the first's 300 delivered.
    flows = [Flow(0.0, 300.0), Flow(0.0, 300.0, weight=3.0)]
    assert both_ways(flows, constant(100.0)) == pytest.approx([6.0, 4.0])


def test_weight_counts_only_below_the_cap():
    # The second could have 75 and takes 30; the first gets the other 70.
    flows = [Flow(0.0, 700.0), Flow(0.0, 300.0, constant(30.0), weight=3.0)]
    assert both_ways(flows, constant(100.0)) == pytest.approx([10.0, 10.0])


def test_late_arrival_halves_the_rate():
    # 400 bytes by 4 s; then 50 each until the second's 100 are through at 6 s; then 100 again.
    flows = [Flow(0.0, 1000.0), Flow(4.0, 100.0)]
    assert both_ways(flows, constant(100.0)) == pytest.approx([11.0, 6.0])


def test_outage_of_the_shared_link_stops_everybody():
    shared = Capacity([0.0, 1.0, 3.0], [100.0, 0.0, 100.0])
    flows = [Flow(0.0, 100.0, constant(25.0)), Flow(0.0, 150.0), Flow(2.0, 10.0)]
    # By 1 s: 25 and 75. From 3 s on: 25, 37.5, 37.5 until the third is through, 10 / 37.5 s later;
    # then 25 and 75 for the 65 left of the second; the first needs 3 s in all.
    third = 3 + 10 / 37.5
    assert both_ways(flows, shared) == pytest.approx([6.0, third + 65 / 75, third])


def test_outage_of_one_cap_is_the_others_gain():
    flows = [Flow(0.0, 100.0, on_off(2.0, 4.0)), Flow(0.0, 300.0)]
    # 200 of the second by 2 s, then 50 each: both through at 4 s.
    assert both_ways(flows, constant(100.0)) == pytest.approx([4.0, 4.0])


def test_finish_just_before_an_outage_is_not_carried_over_it():
    # 0.1 x 30 s are not exactly 3 in floats; the rest must not wait for the outage to end.
    shared = Capacity([0.0, 30.0], [0.1, 0.0], duration=1030.0)
    flows = [Flow(0.0, 1.0), Flow(0.0, 1.0), Flow(0.0, 1.0)]
    assert both_ways(flows, shared) == pytest.approx([30.0] * 3)


def test_a_link_of_three_cells_and_a_server():
    # Server 90 for all; the cells have 20, 50 and 100. The first cell's two flows have 10 each, the
    # second's one and the third's one share the other 70.
    flows = [
        Flow(0.0, 100.0, path=(0, 3)),
        Flow(0.0, 100.0, path=(0, 3)),
        Flow(0.0, 350.0, path=(1, 3)),
        Flow(0.0, 350.0, path=(3, 2)),
    ]
    links = [constant(rate) for rate in (20.0, 50.0, 100.0, 90.0)]
    assert finish_times(flows, links) == pytest.approx([10.0] * 4)


def test_parking_lot():
    # A long flow and two short ones: 5, 5 and 15, until the first short one is through at 10 s;
    # then the long one and the other share 20 of the second link.
    flows = [Flow(0.0, 150.0, path=(0, 1)), Flow(0.0, 50.0), Flow(0.0, 1000.0, path=(1,))]
    links = [constant(10.0), constant(20.0)]
    # From 10 s both have 10: 100 left of the long one take 10 s; then 20 for the 750 left.
    assert finish_times(flows, links) == pytest.approx([20.0, 10.0, 20.0 + 750 / 20])


def test_flows_that_share_nothing_do_not_matter_to_each_other():
    flows = [Flow(0.0, 100.0, path=(0,)), Flow(0.0, 100.0, path=(1,)), Flow(1.0, 50.0, path=(0,))]
    together = finish_times(flows, [constant(100.0), constant(10.0)])
    assert together == pytest.approx([1.0, 10.0, 1.5])


# Ends of the range


def test_nothing_to_send_is_sent_at_once():
    flows = [Flow(3.0, 0.0, constant(0.0)), Flow(1.0, 100.0)]
    assert both_ways(flows, constant(10.0)).tolist() == [3.0, 11.0]
    assert finish_times([], []).tolist() == []


def test_flows_that_never_finish_are_told_one_by_one():
    dead = Capacity([0.0, 1.0], [0.0, 0.0], duration=2.0)
    ends = Capacity([0.0, 1.0], [10.0, 0.0])
    flows = [Flow(0.0, 50.0), Flow(0.0, 5.0, dead), Flow(0.0, 50.0, ends), Flow(0.0, 5.0, ends)]
    finish = both_ways(flows, constant(100.0))
    assert np.isinf(finish).tolist() == [False, True, True, False]
    assert finish_times([Flow(0.0, 1.0, dead, path=())], []).tolist() == [math.inf]
    assert both_ways([Flow(0.0, 1.0)], constant(0.0)).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("shared", "own", "other_finish"),
    [
        # Up in the second half of every 2 s, the flow's own in the first half.
        (on_off(1.0, 2.0), Capacity([0.0, 1.0], [100.0, 0.0], 2.0), 1.1),
        # Up from 0.05 s on of every 0.1 s, its own for 0.04 s of every 0.3 s.
        (on_off(0.05, 0.1), Capacity([0.0, 0.04], [100.0, 0.0], 0.3), 0.2),
    ],
)
def test_links_that_are_never_up_together(shared, own, other_finish):
    """Neither ends, yet nothing arrives: known once a common period has passed."""
    finish = both_ways([Flow(0.0, 10.0, own), Flow(0.0, 10.0)], shared)
    assert finish == pytest.approx([math.inf, other_finish])


def test_a_stall_that_ends_is_waited_out():
    """Up from 98 to 99 s of every 100 s, and a cap from 99 s on: together first at 198 s."""
    shared = Capacity([0.0, 98.0, 99.0], [0.0, 100.0, 0.0], 100.0)
    own = Capacity([0.0, 99.0], [0.0, 50.0], 100.0, past_end="hold")
    flicker = Capacity([0.0, 0.25, 0.5], [0.0, 0.0, 0.0], 1.0, past_end="hold")
    flows = [Flow(0.0, 25.0, own), Flow(0.0, 1.0, flicker), Flow(0.0, 1.0, on_off(0.25, 1.0, 0.0))]
    assert both_ways(flows, shared) == pytest.approx([198.5, math.inf, math.inf])


def test_links_that_are_up_together_in_the_end():
    # Periods 2 and 2.1: the shared link is up from 1 to 2, the other for 0.1 s, ever later.
    own = Capacity([0.0, 0.1], [100.0, 0.0], 2.1)
    (finish,) = both_ways([Flow(0.0, 10.0, own)], on_off(1.0, 2.0))
    assert finish == pytest.approx(10 * 2.1 + 0.1)


def test_a_flow_that_takes_too_many_changes_is_given_up(monkeypatch):
    monkeypatch.setattr(online, "MAX_CHANGES", 1000)
    with pytest.raises(TransferNeverEnds, match="flow 1 has not finished"):
        finish_times([Flow(0.0, 1.0), Flow(0.0, 1e9, on_off(1.0, 2.0))], [constant(100.0)])


def test_capacity_that_is_unknown_later_names_the_flow():
    known = Capacity([0.0], [10.0], duration=5.0, past_end="error")
    assert both_ways([Flow(0.0, 50.0, known)], constant(100.0)) == pytest.approx([5.0])
    with pytest.raises(TraceError, match="flow 1: the capacity is known for 5 s"):
        finish_times([Flow(0.0, 1.0), Flow(0.0, 51.0, known)], [constant(100.0)])
    with pytest.raises(TraceError, match="flow 0: the capacity is known for 5 s"):
        finish_times([Flow(6.0, 1.0, known)], [constant(100.0)])


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (Flow(-1.0, 1.0), "start of -1.0 s"),
        (Flow(math.nan, 1.0), "start of nan s"),
        (Flow(0.0, -1.0), "size of -1.0 bytes"),
        (Flow(0.0, math.inf), "size of inf bytes"),
        (Flow(0.0, 1.0, weight=0.0), "weight of 0.0"),
        (Flow(0.0, 1.0, path=(1,)), r"path \(1,\), allowed are links from 0 to 0, each at most"),
        (Flow(0.0, 1.0, path=(-1,)), "path"),
        (Flow(0.0, 1.0, path=(0, 0)), "path"),
        (Flow(0.0, 1.0, path=()), "neither a cap nor a shared link"),
    ],
)
def test_what_is_no_flow_is_refused(flow, message):
    with pytest.raises(ValueError, match=message):
        finish_times([flow], [constant(1.0)])


def test_ten_thousand_changes_leave_no_drift():
    """Against the closed form for a flow alone, which adds nothing up."""
    rng = stream(0, "test.drift")
    own = Capacity(np.arange(100) / 10, rng.uniform(1.0, 100.0, 100), 10.0, offset=3.7)
    for start in (0.0, 1e6):
        expected = own.finish_time(start, 5e4) - start
        found = both_ways([Flow(start, 5e4, own)], constant(1e3))[0] - start
        assert found == pytest.approx(expected, rel=1e-9 if start else 1e-12)


# Against SimGrid


@pytest.mark.skipif(not ORACLE.is_file(), reason="the reference files are not here")
def test_finish_times_of_the_oracle():
    compared = 0
    for case in json.loads(ORACLE.read_text(encoding="utf-8")):
        flows = []
        for flow in case["flows"]:
            cap = constant(flow.get("capacity_bytes_per_s", 0.0))
            if "profile" in flow:
                starts, rates = zip(*flow["profile"], strict=True)
                cap = Capacity(starts, rates, flow["period_s"])
            flows.append(Flow(flow["start_s"], flow["bytes"], cap))
        starts = np.array([flow.start for flow in flows])
        durations = both_ways(flows, constant(case["backhaul_bytes_per_s"])) - starts
        np.testing.assert_allclose(durations, np.array(case["finish_s"]) - starts, rtol=1e-6)
        compared += len(flows)
    assert compared == 143
