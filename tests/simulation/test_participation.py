"""Every asking of a client has draws of its own, under every protocol."""

import math
from collections import Counter

import numpy as np
import pytest

from fsim.compression import EncodingContext
from fsim.core.rng import participation, stream, torch_seed
from fsim.fleet import Dropout
from fsim.server.protocols import PROTOCOLS
from fsim.settings.server import FailureSettings
from fsim.simulation.failures import PayloadFailures
from fsim.simulation.learner import RealLearner
from fsim.simulation.run import run_world
from fsim.simulation.world import SimulatedWorld
from tests.simulation.quadratic import QuadraticLearner

CLIENTS = 8

OPTIONS = {"buffered": {"buffer": 2}, "tiered": {"tiers": 2}, "deadline": {"after": "1 min"}}


class Watched(QuadraticLearner):
    """Notes who was asked, in which round and for which time in it."""

    def __init__(self) -> None:
        super().__init__([1.0] * CLIENTS, np.ones((CLIENTS, 8)), 0.1)
        self.asked = []

    def job(self, client, round_number, adapter, steps, correction=None, repeat=0):
        self.asked.append((client, round_number, repeat))
        return super().job(client, round_number, adapter, steps, correction, repeat)


def run(tiny, kind, seed=0, learner=None, **changes):
    protocol = {"kind": kind, "clients_per_round": 4, "rounds": 30,
                **OPTIONS.get(kind, {})}  # fmt: skip
    loaded = tiny(fleet__clients=CLIENTS, protocol=protocol, seed=seed, **changes)
    return run_world(SimulatedWorld(loaded, learner or Watched()))


def within(found, times, share):
    """Whether a count is one that is met in all but one of 10^7 draws of that many times."""
    return abs(found - times * share) <= 5.4 * math.sqrt(times * share * (1 - share)) + 1


@pytest.mark.parametrize("kind", PROTOCOLS)
@pytest.mark.parametrize("selection", ["uniform", "oort"])
def test_as_many_are_lost_corrupted_and_twice_there_as_the_scenario_says(tiny, kind, selection):
    """Of what is asked, and of what arrives; some protocols ask again within a round."""
    counts = Counter()
    for seed in range(12):
        done = run(tiny, kind, seed, fleet__availability={"kind": "dropout", "probability": 0.3},
                   failures={"corrupted": 0.2, "duplicated": 0.25},
                   protocol__selection=selection)  # fmt: skip
        assert done.failure is None
        kinds = done.records["kind"].value_counts()
        twice = done.records["details"].str.contains("duplicate")
        damaged = done.records["details"].str.contains("checksum|payload", regex=True)
        counts["received"] += kinds["receive"]
        counts["lost"] += kinds.get("lost", 0)
        counts["twice"] += (twice & (done.records["kind"] == "upload")).sum()
        counts["damaged"] += (damaged & (done.records["kind"] == "rejected")).sum()
    ended = counts["received"] + counts["lost"]
    assert ended > 300
    assert within(counts["lost"], ended, 0.3), counts
    assert within(counts["twice"], counts["received"], 0.25), counts
    assert within(counts["damaged"], counts["received"], 0.2), counts


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_no_asking_repeats_another(tiny, kind):
    learner = Watched()
    run(tiny, kind, learner=learner, fleet__availability={"kind": "dropout", "probability": 0.8})
    # Tiers only estimate what a job of round 0 takes, and the check of a deadline the first one.
    asked = [each for each in learner.asked if each[1] > 0][kind == "deadline" :]
    assert len(set(asked)) == len(asked)
    for client, round_number, repeat in asked:
        assert repeat == 0 or (client, round_number, repeat - 1) in asked
    if kind in ("buffered", "asynchronous"):
        assert any(repeat for *_, repeat in asked)


def test_the_first_asking_of_a_round_has_the_keys_of_client_and_round_alone():
    assert participation(3, 5) == participation(3, 5, 0) == (3, 5)
    assert participation(3, 5, 2) == (3, 5, 2)


def test_all_that_is_drawn_for_an_asking_is_drawn_anew_for_the_next(tiny):
    first, again = (EncodingContext.of(7, 3, 5, repeat) for repeat in (0, 1))
    assert first.seed != again.seed
    assert first.seed == torch_seed(7, "compression.shared", 3, 5)
    assert first.rng.random() == stream(7, "compression", 3, 5).random() != again.rng.random()
    lost = [Dropout(0.5, 7, client).drops_out(5, repeat) is None
            for client in range(40) for repeat in (0, 1)]  # fmt: skip
    assert lost[::2] != lost[1::2]
    failures = PayloadFailures(7, FailureSettings(corrupted=0.5, duplicated=0.5))
    for what in (lambda *keys: failures.corrupted(b"abcd", *keys), failures.duplicated):
        fates = [
            what(*participation(client, 5, repeat)) for repeat in (0, 1) for client in range(40)
        ]
        assert fates[:40] != fates[40:]


def test_two_askings_of_a_client_in_a_round_train_on_different_batches(tiny):
    learner = RealLearner(tiny(), None)
    jobs = [learner.job(2, 1, learner.initial, 2, repeat=repeat) for repeat in (0, 0, 1, 2)]
    batches = [[row.ids for batch in job.batches for row in batch] for job in jobs]
    assert batches[0] == batches[1]
    assert len({tuple(rows) for rows in batches}) == 3
    assert len({job.seed for job in jobs}) == 3


@pytest.mark.parametrize("seed", range(10))
def test_four_clients_of_whom_half_drop_out_are_asked_until_one_answers(tiny, seed):
    protocol = {"kind": "asynchronous", "clients_per_round": 4, "rounds": 20,
                "stop": {"after": "1 h"}}  # fmt: skip
    loaded = tiny(
        seed=seed,
        fleet__clients=4,
        fleet__availability={"kind": "dropout", "probability": 0.5},
        protocol=protocol,
    )
    done = run_world(SimulatedWorld(loaded, QuadraticLearner([1.0] * 4, np.ones((4, 8)), 0.1)))
    assert done.failure is None
    assert done.facts["accounts"]["aggregated"] == 20
