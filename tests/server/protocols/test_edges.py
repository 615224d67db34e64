"""Protocols on losses whose optimum is known: FedAsync, crashes, the last moment of a run."""

import dataclasses
import json
import math

import numpy as np
import pytest

from fsim.core.errors import NothingLeft, ScenarioError
from fsim.fleet import AlwaysOn
from fsim.fleet.population import DrawnPopulation
from fsim.simulation.build import build_population
from fsim.simulation.global_adapter import GlobalAdapter
from fsim.simulation.world import SimulatedWorld
from tests.simulation.quadratic import QuadraticLearner, run

RATE = 0.1
TARGETS = np.random.default_rng(1).normal(size=(6, 8))
COMMON = {
    "training": {"optimizer": "sgd", "learning_rate": RATE, "local_steps": 2},
    "compression": {"policy": "float32"},
    "transport": {"kind": "fluid"},
    "fleet__uplink": {"rate": "lognormal(8 kbit/s, 1.0)"},
    "fleet__seconds_per_step": {"laptop": "250 ms"},
}


def learner():
    return QuadraticLearner([1.0] * 6, TARGETS, RATE)


def flat(adapter):
    return np.concatenate([adapter[name].ravel() for name in sorted(adapter)])


def protocol(**settings):
    return {f"protocol__{key}": value for key, value in settings.items()}


@pytest.mark.parametrize("staleness", ["constant", "polynomial"])
def test_fedasync_mixes_adapters(tiny, monkeypatch, staleness):
    """Algorithm 1 again from what arrived: x <- (1 - a) x + a (base + delta)."""
    arrived = []
    original = GlobalAdapter.receive
    monkeypatch.setattr(
        GlobalAdapter,
        "receive",
        lambda self, arrival: (arrived.append(arrival), original(self, arrival))[1],
    )
    settings = protocol(kind="asynchronous", mixing=0.6, rounds=12, staleness=staleness)
    world = run(tiny(**COMMON, **settings), learner())
    x = np.zeros(8)
    for version, arrival in enumerate(arrived[:12]):
        behind = version - arrival.version
        share = 0.6 * (1 if staleness == "constant" else (1 + behind) ** -0.5)
        x = (1 - share) * x + share * (flat(arrival.base) + flat(arrival.update))
    assert max(version - arrival.version for version, arrival in enumerate(arrived[:12])) > 1
    np.testing.assert_allclose(flat(world.adapter), x, atol=1e-5)


def test_fedasync_of_one_client_is_a_part_of_its_step(tiny):
    settings = protocol(kind="asynchronous", mixing=0.5, rounds=3, clients_per_round=1)
    alone = QuadraticLearner([1.0], TARGETS[:1], RATE)
    world = run(tiny(**COMMON, fleet__clients=1, **settings), alone)
    # Two steps leave 0.81 of the way, and half of that is gone: 0.905 a round.
    np.testing.assert_allclose(flat(world.adapter), (1 - 0.905**3) * TARGETS[0], atol=1e-6)


@pytest.mark.parametrize("refill", ["arrival", "aggregation"])
def test_an_unreadable_update_does_not_count_towards_a_buffer(tiny, refill):
    settings = protocol(kind="buffered", buffer=3, rounds=4, refill=refill)
    world = run(tiny(**COMMON, **settings, failures={"corrupted": 0.5}), learner())
    assert world.accounts.rejected > 0
    assert world.accounts.aggregated == 4 * 3


def test_a_screened_update_leaves_the_weights_of_the_others_theirs(tiny):
    far = TARGETS.copy()
    far[0] *= 100
    settings = protocol(kind="buffered", buffer=3, rounds=6)
    world = run(
        tiny(**COMMON, **settings, server__screen={"most_norm": 5.0}),
        QuadraticLearner([1.0] * 6, far, RATE),
    )
    assert world.accounts.rejected > 0
    assert np.linalg.norm(flat(world.adapter)) < 5


@pytest.mark.parametrize(
    "settings",
    [
        protocol(kind="buffered", buffer=2, clients_per_round=6),
        protocol(kind="asynchronous", clients_per_round=6),
        protocol(kind="tiered", tiers=2),
        protocol(kind="deadline", over_selection=2.0),
    ],
    ids=["buffered", "asynchronous", "tiered", "deadline"],
)
def test_books_balance_when_others_answer_at_the_moment_a_run_ends(tiny, settings):
    equal = {**COMMON, "fleet__uplink": {"rate": "8 kbit/s"}}
    assert run(tiny(**equal, **settings), learner()).accounts.unfinished > 0


def test_waiting_for_clients_may_take_longer_than_a_reporting_window(tiny):
    world = run(
        tiny(
            **COMMON,
            **protocol(kind="deadline", after="2 s", over_selection=1.0, rounds=5),
            fleet__clients=3,
            fleet__availability={"kind": "on-off", "on": "10 s", "off": "60 s"},
        ),
        learner(),
    )
    assert world.version == 5


def test_a_crash_may_take_what_a_selection_rule_has_seen(tiny):
    """Under `fastest`, clients of unknown speed come first: after the crash these are all again."""
    settings = protocol(selection="fastest", rounds=8, clients_per_round=2)

    def asked(**more):
        world = run(tiny(**COMMON, **settings, **more), learner())
        records = world.recorder.records()
        downloads = records[records["kind"] == "download"]
        return [sorted(rows["client"]) for _, rows in downloads.groupby("round")], records

    plain, records = asked()
    # Six clients, two a round: all are known after three rounds, then the two fastest go on.
    assert sorted(client for cohort in plain[:3] for client in cohort) == list(range(6))
    assert plain[3:] == [plain[3]] * 5
    ends = records[records["kind"] == "round"]
    time = (ends["time_s"] + ends["duration_s"]).iloc[4] + 1e-3
    crash = {"at": f"{time} s", "down": "1 ms", "in_flight": "kept"}
    kept, _ = asked(server__crashes=[crash])
    lost, _ = asked(server__crashes=[crash | {"selection": "lost"}])
    assert kept == plain
    assert lost[:6] == plain[:6]
    assert lost[6:] != plain[6:]
    assert not set(lost[6]) & set(lost[5])


def test_a_deadline_that_nobody_can_keep_is_refused_before_the_run(tiny):
    """8 kbit/s down, 46 bytes of adapter (32 and a header of 14): 46 ms; two steps of 250 ms; 13
    bytes of header up at the highest rate of any client."""
    links = {
        **COMMON,
        "fleet__downlink": {"rate": "8 kbit/s"},
        "fleet__uplink": {"rate": "8 kbit/s"},
    }

    def world(after, **more):
        settings = protocol(kind="deadline", after=after, over_selection=1.0)
        return SimulatedWorld(tiny(**{**links, **settings, **more}), learner())

    with pytest.raises(ScenarioError) as caught:
        world("0.55 s")
    assert str(caught.value) == (
        "protocol.after: found 0.55 s, the fastest client needs at least 0.559 s: 0.046 s to "
        "download over fleet.downlink, 0.5 s for training.local_steps, 0.013 s or more over "
        "fleet.uplink"
    )
    world("0.56 s")
    world("0.55 s", protocol__late="keep")
    # Most are too slow, but not all.
    settings = protocol(kind="deadline", after="1 s", over_selection=1.0)
    fleet = {
        "fleet__clients": 60,
        "fleet__devices": {"laptop": 0.05, "phone-low": 0.95},
        "fleet__seconds_per_step": {"laptop": "250 ms", "phone-low": "1 s"},
    }
    loaded = tiny(**links | settings | fleet)
    devices = [profile.device.name for profile in build_population(loaded)]
    assert devices.count("phone-low") > devices.count("laptop") > 0
    SimulatedWorld(loaded, QuadraticLearner([1.0] * 60, np.zeros((60, 8)), RATE))


class Later(AlwaysOn):
    """A client that comes after 10 s."""

    def next_available(self, time):
        return max(time, 10.0)


def test_a_tier_waits_for_clients_of_its_own(tiny):
    """While only the other tier's are there, it asks nobody and ends no round."""
    loaded = tiny(
        **{**COMMON, **protocol(kind="tiered", tiers=2, rounds=40)},
        fleet__availability={"kind": "on-off", "on": "1 h", "off": "1 h"},
    )
    drawn = build_population(loaded)
    slow = sorted(range(6), key=lambda client: drawn[client].uplink.capacity.mean)[:3]
    profiles = [
        dataclasses.replace(profile, availability=Later() if client in slow else AlwaysOn())
        for client, profile in enumerate(drawn)
    ]
    population = DrawnPopulation(6, lambda clients: [profiles[client] for client in clients])
    world = SimulatedWorld(loaded, learner(), population=population)
    world.env.run(world.env.process(loaded.scenario.protocol.make().run(world.env, world)))
    records = world.recorder.records()
    asked = records[(records["kind"] == "download") & records["client"].isin(slow)]
    assert asked["time_s"].min() == 10.0
    rounds = records[records["kind"] == "round"]["details"].map(json.loads)
    assert [each["selected"] for each in rounds] == [3] * 40


class Gone(AlwaysOn):
    """A client that leaves after 3 s and does not come back."""

    def next_available(self, time):
        return time if time < 3 else math.inf


@pytest.mark.parametrize(
    "settings",
    [
        protocol(kind="synchronous"),
        protocol(kind="deadline", after="1 s"),
        protocol(kind="buffered", buffer=3),
        protocol(kind="asynchronous"),
        protocol(kind="tiered", tiers=2),
    ],
    ids=lambda settings: settings["protocol__kind"],
)
def test_a_run_in_which_nothing_can_happen_any_more_says_so(tiny, settings):
    loaded = tiny(
        **{**COMMON, **settings, "protocol__rounds": 100},
        fleet__availability={"kind": "on-off", "on": "1 h", "off": "1 h"},
    )
    drawn = build_population(loaded)
    gone = [dataclasses.replace(profile, availability=Gone()) for profile in drawn]
    population = DrawnPopulation(6, lambda clients: [gone[client] for client in clients])
    world = SimulatedWorld(loaded, learner(), population=population)
    process = world.env.process(loaded.scenario.protocol.make().run(world.env, world))
    with pytest.raises(NothingLeft, match="none will ever be available again"):
        world.env.run(process)
    assert world.version > 0
