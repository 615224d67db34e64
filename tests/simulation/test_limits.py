"""Every run ends: at its simulated time, when nothing enters any more, or before it begins."""

import numpy as np
import pytest

from fsim.core.errors import ScenarioError
from fsim.server.protocols import PROTOCOLS
from fsim.simulation import limits, progress
from fsim.simulation.run import run_world, simulate
from fsim.simulation.world import SimulatedWorld
from tests.simulation.quadratic import QuadraticLearner

OPTIONS = {"buffered": {"buffer": 2}, "tiered": {"tiers": 2}}
LOST = {"kind": "dropout", "probability": 0.999999}
SILENT = {"fleet__availability": LOST, "fleet__silent_losses": 1}
"""All are lost, which takes minutes to notice."""


def run(tiny, kind="synchronous", on_progress=None, **changes):
    protocol = {"kind": kind, "clients_per_round": 3, "rounds": 10**6, **OPTIONS.get(kind, {})}
    changes = {"protocol": protocol, **changes}
    for key in [key for key in changes if key.startswith("protocol__")]:
        protocol[key.removeprefix("protocol__")] = changes.pop(key)
    learner = QuadraticLearner([1.0] * 6, np.ones((6, 8)), 0.1)
    return run_world(SimulatedWorld(tiny(**changes), learner, on_progress))


def balanced(done):
    accounts = dict(done.facts["accounts"])
    assert accounts.pop("selected") == sum(accounts.values())
    return done.facts["accounts"]


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("availability", [{"kind": "always"}, LOST])
def test_a_run_ends_at_its_time(tiny, kind, availability):
    done = run(tiny, kind, protocol__stop={"after": "30 s"}, fleet__availability=availability)
    assert done.failure is None
    assert done.metrics.simulated_s == 30.0
    assert (done.records["time_s"] + done.records["duration_s"]).max() <= 30.0
    assert balanced(done)["selected"] > 0
    assert done.metrics.uplink_bytes == done.records.query("kind == 'upload'")["bytes"].sum()


def test_what_happens_at_the_very_moment_belongs_to_the_run(tiny):
    first = run(tiny, protocol__rounds=1).records.iloc[-1]
    assert first["kind"] == "round"
    done = run(tiny, protocol__stop={"after": f"{float(first['duration_s'])!r} s"})
    assert (done.records["kind"] == "round").sum() == 1
    assert balanced(done)["aggregated"] == 3


def test_the_adapter_at_the_end_is_evaluated(tiny):
    done = run(tiny, protocol__stop={"after": "20 s"}, evaluation__every=1000)
    assert len(done.evaluations) == 2
    assert done.evaluations["time_s"].iloc[-1] == 20.0
    assert balanced(done)["aggregated"] > 0
    unmoved = run(tiny, protocol__stop={"after": "20 s"}, **SILENT)
    assert len(unmoved.evaluations) == 1


@pytest.mark.parametrize("kind", [kind for kind in PROTOCOLS if kind != "synchronous"])
def test_a_run_in_which_nothing_enters_any_more_says_why(tiny, kind):
    done = run(tiny, kind, protocol__stop={"without_update": "1 h"}, **SILENT)
    assert done.metrics.simulated_s == pytest.approx(3600, abs=1)
    asked, lost = (done.facts["accounts"][name] for name in ("selected", "dropped"))
    assert done.failure == (
        "no update has entered the global adapter for 60.0 min of simulated time "
        f"(protocol.stop.without_update): of {asked} times that a client was asked {lost} were "
        f"lost, 0 rejected, 0 too late and {asked - lost} not over; most often, {lost} times: "
        "dropped out, "
        "fleet.availability.probability"
    )
    balanced(done)


IN_VAIN = {
    # Lost before it has begun, and known at once: such an asking takes no time at all.
    "dropped out": {
        "fleet__availability": LOST | {"moment": "before-download"},
        "fleet__uplink": {"rate": "1 Mbit/s", "round_trip": "0 s"},
    },
    "its payload was damaged": {"failures": {"corrupted": 1.0}},
}


@pytest.mark.parametrize("why", IN_VAIN)
@pytest.mark.parametrize("kind", PROTOCOLS)
def test_a_run_whose_askings_take_next_to_no_time_ends_too(tiny, kind, why, monkeypatch):
    monkeypatch.setattr(limits, "MOST_IN_VAIN", 500)
    done = run(tiny, kind, **IN_VAIN[why])
    assert "no update has entered the global adapter in 500 askings" in done.failure
    assert f"most often, 500 times: {why}" in done.failure
    assert done.metrics.simulated_s < 3600
    balanced(done)


def test_a_cohort_of_which_most_are_lost_goes_on(tiny, monkeypatch):
    monkeypatch.setattr(limits, "MOST_IN_VAIN", 3)
    lost = {"kind": "dropout", "probability": 0.8}
    done = run(tiny, fleet__availability=lost, protocol__clients_per_round=6, protocol__rounds=30)
    assert done.failure is None
    assert balanced(done)["dropped"] > 100


def test_only_time_without_an_update_counts(tiny):
    done = run(tiny, protocol__stop={"without_update": "1 s"}, protocol__rounds=50)
    assert done.failure is None
    assert done.metrics.simulated_s > 3


def test_clients_that_go_away_before_they_are_through(tiny):
    """Nights of lognormal length: now and then one is long enough, so that it is found out late."""
    done = run(
        tiny,
        "buffered",
        protocol__stop={"without_update": "2 h"},
        fleet__when_away="lost",
        fleet__availability={"kind": "renewal", "on": "exponential(4 s)", "off": "10 s"},
        fleet__seconds_per_step={"laptop": "20 s"},
    )
    assert "went away while computing, no time on is long enough" in done.failure
    assert set(done.facts["troubles"]) <= {
        "went away while computing",
        "went away while downloading",
    }


@pytest.mark.parametrize(
    ("rule", "on", "refused"),
    [
        ("lost", "19 s", True),
        ("lost", "21 s", False),
        ("restart", "19 s", True),
        ("restart", "20.2 s", False),
        ("resume", "1 s", False),
        ("lost", "uniform(1 s, 19 s)", True),
        ("lost", "exponential(0.5 s)", True),
        ("lost", "exponential(20 s)", False),
        ("lost", "lognormal(0.5 s, 0.1)", True),
        ("lost", "lognormal(10 s, 1)", False),
    ],
)
def test_clients_that_are_never_there_for_long_enough_are_refused(tiny, rule, on, refused):
    """40 s of training in two steps. Two times on may meet, so that half of it is too short."""
    changes = {
        "fleet__when_away": rule,
        "fleet__availability": {"kind": "renewal", "on": on, "off": "10 s"},
        "fleet__seconds_per_step": {"laptop": "20 s"},
        "protocol__stop": {"after": "1 s"},
    }
    if not refused:
        assert run(tiny, **changes).failure is None
        return
    found = rf"fleet\.availability: found clients that are there for .* fleet\.when_away: {rule} a"
    with pytest.raises(ScenarioError, match=found):
        run(tiny, **changes)


def test_the_upload_counts_as_well(tiny):
    """At 4 bit/s, two seconds a byte, an update takes more than the 40 s of two times on."""
    changes = {
        "fleet__when_away": "lost",
        "fleet__uplink": {"rate": "4 bit/s"},
        "fleet__availability": {"kind": "renewal", "on": "20 s", "off": "10 s"},
    }
    with pytest.raises(ScenarioError, match=r"there for 40 s at the most, .* needs at least"):
        run(tiny, **changes)


def test_progress_is_shown_while_no_round_closes(tiny, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    told = []
    often = {"protocol__keepalive": {"time": "30 s"}, "protocol__stop": {"after": "10 min"}}
    run(tiny, "buffered", told.append, **often, **SILENT)
    times = [state.simulated_s for state in told]
    assert len(times) > 5
    assert times == sorted(times)
    assert times[-1] == 600.0
    assert {state.round_number for state in told} == {0}


def test_progress_ends_with_the_run(tiny):
    told = []
    run(tiny, "buffered", told.append, fleet__availability=LOST, protocol__stop={"after": "1 min"})
    assert told[-1].simulated_s == 60.0


def test_really_trained_runs_end_too(tiny):
    done = simulate(tiny(protocol__stop={"after": "1 s"}, protocol__rounds=1000))
    assert done.metrics.simulated_s == 1.0
    assert done.failure is None


def test_an_offset_beyond_a_trace_that_says_no_more_is_refused(tiny, tmp_path):
    trace = tmp_path / "short.csv"
    trace.write_text("time_s,rate_mbit_s\n0,1\n30,2\n60,1\n")
    uplink = {"trace": str(trace), "past_end": "error", "offset": "2 min"}
    with pytest.raises(ScenarioError, match=r"short\.csv: found offset: 120 s, .* known for 90 s"):
        run(tiny, fleet__uplink=uplink)
    assert run(tiny, fleet__uplink={**uplink, "offset": "10 s"}, protocol__rounds=1).failure is None
