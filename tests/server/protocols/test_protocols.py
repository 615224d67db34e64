"""Round protocols in whole runs: schedules by hand, equivalences, books that balance."""

import json

import numpy as np
import pytest

from fsim.core.errors import ScenarioError
from fsim.core.rng import stream
from fsim.server.selection import SELECTORS, make_selector
from fsim.settings.loading import load_scenario
from fsim.simulation.build import build_population
from fsim.simulation.run import run_world
from fsim.simulation.world import SimulatedWorld
from tests.conftest import ROOT
from tests.simulation.quadratic import quadratic_learner, simulate

LINKS = {
    "transport": {"kind": "fluid"},
    "fleet__uplink": {"rate": "lognormal(100 kbit/s, 1.0)"},
    "fleet__downlink": {"rate": "80 kbit/s"},
    "fleet__seconds_per_step": {"laptop": "250 ms"},
}


def of_kind(run, kind):
    return run.records[run.records["kind"] == kind].reset_index(drop=True)


def same(one, other):
    """The same adapter at the same times, to the bit."""
    return one.evaluations["time_s"].tolist() == other.evaluations["time_s"].tolist() and all(
        np.array_equal(one.adapter[name], other.adapter[name]) for name in one.adapter
    )


def balanced(run):
    accounts = run.facts["accounts"]
    ends = sum(accounts[key] for key in accounts if key != "selected")
    assert accounts["selected"] == ends
    return accounts


@pytest.fixture(scope="module")
def synchronous(tiny):
    return simulate(tiny(**LINKS))


@pytest.mark.parametrize(
    "protocol",
    [
        {"kind": "deadline", "over_selection": 1.0},
        {"kind": "deadline", "over_selection": 1.0, "after": "1000 h"},
        {"kind": "buffered", "buffer": 3, "refill": "aggregation"},
        {"kind": "buffered", "buffer": 3, "refill": "aggregation", "staleness": "constant"},
    ],
    ids=["deadline-none", "deadline-far", "buffered", "buffered-constant"],
)
def test_protocols_that_come_to_synchronous_rounds(tiny, synchronous, protocol):
    settings = {f"protocol__{key}": value for key, value in protocol.items()}
    assert same(simulate(tiny(**LINKS, **settings)), synchronous)


@pytest.mark.parametrize(
    "optimizer", ["fedavg:lr=1.0", {"kind": "fedavgm", "momentum": 0.0, "lr": 1.0}]
)
def test_a_server_optimizer_that_is_plain_averaging(tiny, synchronous, optimizer):
    assert same(simulate(tiny(**LINKS, server__optimizer=optimizer)), synchronous)


def test_a_deadline_leaves_stragglers_behind(tiny):
    # 4 bytes x 8192 + 14 down at 10,000 bytes/s, 2 steps: 3.78 s before any upload.
    run = simulate(
        tiny(**LINKS, protocol__kind="deadline", protocol__over_selection=2.0,
             protocol__after="6 s", protocol__rounds=3)
    )  # fmt: skip
    accounts = balanced(run)
    assert accounts["selected"] > 9
    assert accounts["late"] + accounts["unfinished"] > 0
    rounds = of_kind(run, "round")
    assert rounds["duration_s"].max() <= 6.0 + 1e-9
    late = of_kind(run, "late")
    assert len(late) == accounts["late"]
    for _, row in rounds.iterrows():
        assert json.loads(row["details"])["received"] <= 3


def test_a_round_with_too_few_answers_is_abandoned(tiny):
    run = simulate(
        tiny(**LINKS, protocol__kind="deadline", protocol__after="3.9 s", protocol__rounds=2)
    )
    assert balanced(run)["aggregated"] == 0
    assert run.evaluations["accuracy"].nunique() == 1
    assert of_kind(run, "round")["duration_s"].tolist() == pytest.approx([3.9, 3.9])


def test_late_updates_may_be_kept(tiny):
    common = {**LINKS, "protocol__kind": "deadline", "protocol__over_selection": 1.0,
              "protocol__after": "4.5 s", "protocol__rounds": 4}  # fmt: skip
    kept, discarded = (
        balanced(simulate(tiny(**common, protocol__late=late))) for late in ("keep", "discard")
    )
    assert kept["aggregated"] > discarded["aggregated"]


@pytest.mark.parametrize("margin", [0.6, 0.7])
def test_a_deadline_counts_by_the_clients_own_clocks(tiny, margin):
    """All answer together and before the deadline: late is whose clock is ahead by more than that.

    32,782 bytes at 10,000 bytes/s, two steps of 0.25 s and 16,398 bytes at 8000 bytes/s:
    5.82795 s.
    """
    offsets = [stream(0, "failures.clock", client).uniform(-2, 2) for client in range(6)]
    ahead = [client for client, offset in enumerate(offsets) if offset > margin]
    assert ahead == ([1] if margin == 0.6 else [])
    assert min(offsets) < -margin  # late is nobody because of a clock that is behind
    run = simulate(
        tiny(**{**LINKS, "fleet__uplink": {"rate": "64 kbit/s"}}, failures={"clock_skew": "2 s"},
             protocol__kind="deadline", protocol__over_selection=1.0,
             protocol__clients_per_round=6, protocol__rounds=1,
             protocol__after=f"{5.82795 + margin} s")
    )  # fmt: skip
    assert of_kind(run, "receive")["time_s"].tolist() == pytest.approx([5.82795] * 6)
    assert of_kind(run, "late")["client"].tolist() == ahead
    assert balanced(run)["aggregated"] == 6 - len(ahead)


def test_a_buffer_of_two_by_hand(tiny):
    """Two clients, one twice as slow to upload: who is in which update, and when.

    Both fetch 32,782 bytes at 10,000 bytes/s and compute 0.5 s: 3.7782 s. The uploads of 16,398
    bytes are shared by nobody: at 1000 bytes/s 16.398 s. With equal links the two answer together,
    and each update of two takes 20.1762 s.
    """
    run = simulate(
        tiny(transport={"kind": "fluid"}, fleet__clients=2, fleet__uplink={"rate": "8 kbit/s"},
             fleet__downlink={"rate": "80 kbit/s"}, fleet__seconds_per_step={"laptop": "250 ms"},
             protocol__kind="buffered", protocol__buffer=2, protocol__clients_per_round=2,
             protocol__rounds=2)
    )  # fmt: skip
    assert of_kind(run, "round")["time_s"].tolist() == pytest.approx([0, 20.1762], abs=1e-6)
    assert run.evaluations["time_s"].tolist() == pytest.approx([0, 20.1762, 40.3524], abs=1e-6)
    balanced(run)


def test_asynchronous_updates_are_one_client_each(tiny):
    run = simulate(tiny(**LINKS, protocol__kind="asynchronous", protocol__rounds=6))
    accounts = balanced(run)
    assert accounts["aggregated"] == 6
    assert accounts["unfinished"] >= 2
    ends = of_kind(run, "receive")["time_s"].tolist()
    assert run.evaluations["time_s"].tolist()[1:] == pytest.approx(sorted(ends)[:6])


def test_stale_updates_may_be_thrown_away(tiny):
    run = simulate(
        tiny(**LINKS, protocol__kind="asynchronous", protocol__max_staleness=0,
             protocol__rounds=4)
    )  # fmt: skip
    assert balanced(run)["late"] > 0


def test_tiers_of_like_speed(tiny):
    """FedAT by hand: two tiers of three, each over and over, beside each other.

    A tier's round takes as long as its slowest client, and ends in the mean of its adapters. The
    global adapter is then the mean of the tiers', each weighted by the rounds of the other.
    """
    loaded = tiny(**LINKS, training={"optimizer": "sgd", "learning_rate": 0.1, "local_steps": 2},
                  compression__policy="float32", protocol__kind="tiered", protocol__tiers=2,
                  protocol__rounds=7)  # fmt: skip
    learner = quadratic_learner(loaded)
    run = run_world(SimulatedWorld(loaded, learner))
    rates = [client.uplink.capacity.mean for client in build_population(loaded)]
    order = sorted(range(6), key=lambda client: -rates[client])
    tiers = order[:3], order[3:]
    seconds = [3.2782 + 0.5 + 32_782 / rates[tier[-1]] for tier in tiers]
    assert seconds[0] < seconds[1]
    closes = sorted((seconds[tier] * (n + 1), tier) for tier in (0, 1) for n in range(7))[:7]
    assert run.evaluations["time_s"].tolist() == pytest.approx([0, *(time for time, _ in closes)])
    assert {tier for _, tier in closes} == {0, 1}
    counts, adapters, began = [0, 0], [0.0, 0.0], [0.0, 0.0]
    for _, tier in closes:
        optimum = learner.targets[tiers[tier]].astype(float).mean(axis=0)
        # Two steps of a tenth leave 0.81 of the way.
        adapters[tier] = 0.81 * began[tier] + 0.19 * optimum
        counts[tier] += 1
        # Every tier counts as having had one round more.
        shares = counts[1] + 1, counts[0] + 1
        whole = (shares[0] * adapters[0] + shares[1] * adapters[1]) / sum(shares)
        began[tier] = whole
    np.testing.assert_allclose(learner.layout.flatten(run.adapter), whole, atol=1e-6)
    assert balanced(run)["aggregated"] == 3 * 7


@pytest.mark.parametrize(
    ("stop", "rounds"),
    [({"after": "1 s"}, 0), ({"uplink": "40 kB"}, 1), ({"uplink": "60 kB"}, 2), ({}, 2)],
)
def test_runs_stop_when_they_are_told_to(tiny, stop, rounds):
    assert len(simulate(tiny(**LINKS, protocol__stop=stop)).evaluations) == rounds + 1


def test_a_run_that_stops_at_its_target(tiny):
    run = simulate(tiny(**LINKS, protocol__stop={"at_target": True}, target__value=1e-9))
    assert len(run.evaluations) in (2, 3)
    run = simulate(tiny(**LINKS, protocol__stop={"at_target": True}, target__value=1.0))
    assert len(run.evaluations) == 3


def test_a_run_does_not_stop_before_its_window_is_full(tiny):
    stop = {"protocol__stop": {"at_target": True}, "target__value": 1e-9, "protocol__rounds": 6}
    for window in (2, 4):
        run = simulate(tiny(**LINKS, **stop, target__window=window))
        rounds = run.evaluations["round"].iloc[-1]
        assert run.metrics.rounds_to_target in (None, rounds)
        assert len(run.evaluations) >= window


def test_a_server_crash_that_loses_what_is_in_flight(tiny):
    # Rounds take more than 3.78 s; at 2 s everyone is at work.
    crash = {"at": "2 s", "down": "100 s"}
    lost = simulate(tiny(**LINKS, server__crashes=[{**crash, "in_flight": "lost"}]))
    kept = simulate(tiny(**LINKS, server__crashes=[{**crash, "in_flight": "kept"}]))
    plain = simulate(tiny(**LINKS))
    assert balanced(lost)["dropped"] == 3
    assert balanced(kept)["dropped"] == 0
    assert of_kind(kept, "round")["duration_s"].iloc[0] == pytest.approx(102.0)
    assert all(np.array_equal(kept.adapter[n], plain.adapter[n]) for n in plain.adapter)
    reasons = of_kind(lost, "lost")["details"].unique().tolist()
    assert [json.loads(reason)["reason"] for reason in reasons] == ["the server had crashed"]


def test_payloads_that_arrive_damaged_or_twice(tiny):
    damaged = simulate(tiny(**LINKS, failures={"corrupted": 1.0}))
    assert balanced(damaged)["rejected"] == 6
    assert len(of_kind(damaged, "rejected")) == 6
    twice = simulate(tiny(**LINKS, failures={"duplicated": 1.0}))
    plain = simulate(tiny(**LINKS))
    assert twice.metrics.uplink_bytes == 2 * plain.metrics.uplink_bytes
    assert same(twice, plain)


def test_absurd_updates_are_screened_out(tiny):
    run = simulate(tiny(**LINKS, server__screen={"most_norm": 1e-9}))
    assert balanced(run)["rejected"] == 6
    assert "allowed is 1e-09" in of_kind(run, "rejected")["details"].iloc[0]


@pytest.mark.parametrize("moment", ["before-download", "computing", "uploading", "any"])
def test_dropouts_at_every_moment(tiny, moment):
    run = simulate(
        tiny(**LINKS, protocol__rounds=3,
             fleet__availability={"kind": "dropout", "probability": 0.6, "moment": moment})
    )  # fmt: skip
    accounts = balanced(run)
    lost = of_kind(run, "lost")
    assert accounts["dropped"] == len(lost) > 0
    assert (lost["bytes"].sum() > 0) == (moment in ("uploading", "any"))


@pytest.mark.parametrize("rule", [rule for rule in SELECTORS if rule != "uniform"])
def test_every_selection_rule_has_its_say(tiny, rule):
    """Clients are those that the rule chooses which knows what its clients did; all stand ready.

    That each chooses right is tested beside it, by numbers worked out by hand.
    """
    examples = [10, 500, 20, 400, 30, 300]
    loaded = tiny(**LINKS, protocol__selection=rule, protocol__rounds=8,
                  protocol__clients_per_round=2)  # fmt: skip
    run = simulate(loaded, examples=examples)
    selector = make_selector(rule, {})
    for client, count in enumerate(examples):
        selector.register(client, examples=count)
    trained = of_kind(run, "compute").set_index(["round", "client"])["details"]
    cohorts = []
    for number, answers in of_kind(run, "receive").groupby("round"):
        expected = selector.select(number, range(6), 2, stream(0, "server.selection", number))
        assert sorted(answers["client"]) == sorted(expected)
        cohorts.append(sorted(expected))
        began = of_kind(run, "round").set_index("round")["time_s"][number]
        for client, time in zip(answers["client"], answers["time_s"], strict=True):
            loss = json.loads(trained[number, client])["loss_last"]
            selector.observe(client, number, loss=loss, examples=examples[client],
                             seconds=time - began)  # fmt: skip
    plain = simulate(tiny(**LINKS, protocol__rounds=8, protocol__clients_per_round=2))
    assert cohorts != [
        sorted(each) for _, each in of_kind(plain, "receive").groupby("round")["client"]
    ]
    if rule == "round-robin":
        assert cohorts[:4] == [[0, 1], [2, 3], [4, 5], [0, 1]]


def test_the_downlink_can_be_a_delta(tiny):
    common = {**LINKS, "protocol__clients_per_round": 6, "protocol__rounds": 3}
    whole = simulate(tiny(**common))
    delta = simulate(tiny(**common, server={"downlink": "delta", "downlink_policy": "qsgd:bits=4"}))
    sizes = of_kind(delta, "download").groupby("round")["bytes"].mean()
    assert sizes[2] < 0.2 * of_kind(whole, "download")["bytes"].mean()
    lossless = simulate(tiny(**common, server={"downlink": "delta"}))
    for name in whole.adapter:
        np.testing.assert_allclose(lossless.adapter[name], whole.adapter[name], atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"protocol__kind": "buffered", "protocol__buffer": 9},
         "protocol.buffer: found 9, more than the clients at work at a time, "
         "protocol.clients_per_round: 3"),
        ({"protocol__kind": "deadline", "protocol__minimum": 9},
         "protocol.minimum: found 9, more than protocol.clients_per_round, 3"),
        ({"protocol__kind": "deadline", "protocol__over_selection": 2.1},
         "protocol.over_selection: found 2.1, which asks 7 with protocol.clients_per_round: 3; the "
         "fleet has 6 (fleet.clients)"),
        ({"protocol__kind": "tiered", "protocol__tiers": 99}, "protocol.tiers: found 99"),
        ({"protocol__kind": "tiered", "protocol__tiers": 2, "server__optimizer": "fedavg:lr=0.5"},
         "server.optimizer: found fedavg and protocol.kind: tiered, which makes the global adapter "
         "without one; allowed is fedavg with lr 1, or one of synchronous, deadline, buffered, "
         "asynchronous"),
        ({"protocol__kind": "buffered", "protocol__staleness": "cubic"},
         "found staleness 'cubic', allowed are constant, polynomial, hinge"),
        ({"protocol__selection": "best"}, "found selection 'best', allowed are uniform"),
        ({"server__optimizer": "adamw"}, "found optimizer 'adamw', allowed are fedavg, fedavgm"),
        ({"protocol__kind": "asynchronous", "protocol__buffer": 2},
         "buffer: found 2, allowed is 1; more is kind: buffered"),
        ({"protocol__kind": "asynchronous", "protocol__mixing": 0.0},
         "mixing: found 0.0, allowed is above 0 and at most 1"),
        ({"server__screen": {"most": 1}}, "most: unknown key, allowed are most_norm"),
    ],
)  # fmt: skip
def test_settings_that_contradict_are_refused(tiny, settings, message):
    with pytest.raises(ScenarioError) as caught:
        tiny(**settings)
    assert message in str(caught.value)


def test_chaos_is_accounted_for():
    loaded = load_scenario(ROOT / "scenarios" / "chaos.yaml")
    run = simulate(loaded)
    assert run.failure is None
    accounts = balanced(run)
    for kind in ("aggregated", "late", "rejected", "dropped"):
        assert accounts[kind] > 0, kind
    sums = run.records.groupby("kind")["bytes"].sum()
    assert sums["upload"] == sums["receive"] + sums["lost"] + sums["discarded"]
