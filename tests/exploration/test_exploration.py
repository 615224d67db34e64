"""Hundreds of random scenarios, of which everything holds that must."""

from collections import Counter
from functools import cache

from hypothesis import HealthCheck, given, note, settings

from fsim.compression import POLICIES
from fsim.network.transport import TRANSPORTS
from fsim.server.aggregation import AGGREGATIONS
from fsim.server.corrections import CORRECTIONS
from fsim.server.optimizers import OPTIMIZERS
from fsim.server.protocols import PROTOCOLS
from fsim.server.selection import SELECTORS
from tests.exploration.cases import _AVAILABILITY, AVAILABILITIES, Case, cases
from tests.exploration.frequencies import Tally
from tests.exploration.hunt import case_of, explore

EXAMPLES = 500


@cache
def breach(invariant):
    """An error of its own for each invariant: Hypothesis then tells one case of each."""
    return type(f"Broken {invariant}", (AssertionError,), {})


def test_whatever_the_scenario_what_must_hold_holds():
    tally, outcomes = Tally(), Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(cases())
    def look(case):
        found = explore(case)
        for name, text in found.broken.items():
            note(case.to_yaml())
            raise breach(name)(text)
        outcomes[case.data["protocol"]["kind"], found.outcome] += 1
        if found.book is not None:
            tally.add(found.book)

    look()
    assert list(tally.unfair()) == []
    # None of it would say anything of runs that do not take place.
    for protocol in PROTOCOLS:
        assert outcomes[protocol, "completed"] >= EXAMPLES / len(PROTOCOLS) / 5


def test_a_seed_is_one_case():
    assert case_of(7) == case_of(7) != case_of(8)
    for seed in range(20):
        assert Case.from_yaml(case_of(seed).to_yaml()) == case_of(seed)


def test_everything_that_there_is_is_explored():
    drawn = {name: set() for name in ("policy", "transport", "protocol", "selection", "server")}
    availabilities = set()
    for seed in range(600):
        data = case_of(seed).data
        drawn["policy"].add(data["compression"]["policy"])
        drawn["transport"].add(data["transport"]["kind"])
        drawn["protocol"].add(data["protocol"]["kind"])
        drawn["selection"].add(data["protocol"]["selection"]["kind"])
        for key in ("aggregation", "optimizer", "correction"):
            drawn["server"].add((key, data["server"].get(key, {}).get("kind")))
        availabilities.add(data["fleet"]["availability"]["kind"])
    assert drawn["policy"] == set(POLICIES)
    assert drawn["transport"] == set(TRANSPORTS)
    assert drawn["protocol"] == set(PROTOCOLS)
    assert drawn["selection"] == set(SELECTORS)
    registries = {
        "aggregation": AGGREGATIONS, "optimizer": OPTIMIZERS, "correction": CORRECTIONS
    }  # fmt: skip
    assert drawn["server"] >= {(key, name) for key, all_ in registries.items() for name in all_}
    assert availabilities == set(AVAILABILITIES) == set(_AVAILABILITY)
