"""Hundreds of random scenarios, of which everything holds that must."""

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, note, settings

import tests.exploration.running as running
from fsim.algorithms import ALGORITHMS
from fsim.compression import POLICIES
from fsim.network.transports.transports import TRANSPORTS
from fsim.server.aggregation import AGGREGATIONS
from fsim.server.optimizers import OPTIMIZERS
from fsim.server.protocols import PROTOCOLS
from fsim.server.selection import SELECTORS
from tests.exploration.cases import AVAILABILITIES, Case, cases
from tests.exploration.frequencies import Tally
from tests.exploration.hunt import case_of, explore

EXAMPLES = 300

FOUND = sorted((Path(__file__).parent / "found").glob("*.yaml"))
"""Cases that have broken something, in their simplest forms, and what is to become of them."""


REGISTRIES = {
    "compression": POLICIES,
    "transport": TRANSPORTS,
    "protocol": PROTOCOLS,
    "selection": SELECTORS,
    "aggregation": AGGREGATIONS,
    "optimizer": OPTIMIZERS,
    "correction": ALGORITHMS,
    "availability": AVAILABILITIES,
}
"""Where a scenario says it -> what there is."""


def names_in(data, key=""):
    """Every place in a scenario that names something registered, and the name."""
    for at, value in data.items():
        if isinstance(value, dict):
            yield from names_in(value, at)
        elif at in ("kind", "policy"):
            yield key, value


@cache
def breach(invariant):
    """An error of its own for each invariant: Hypothesis then tells one case of each."""
    return type(f"Broken {invariant}", (AssertionError,), {})


def test_whatever_the_scenario_what_must_hold_holds(monkeypatch):
    monkeypatch.setattr(running, "MOST_SECONDS", 3.0)
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
    drawn = {name for seed in range(400) for name in names_in(case_of(seed).data)}
    assert drawn >= {(key, name) for key, names in REGISTRIES.items() for name in names}


@pytest.mark.parametrize("file", FOUND, ids=[file.stem for file in FOUND])
def test_what_was_found_once_does_not_come_back(file):
    text = file.read_text(encoding="utf-8")
    found, expected = explore(Case.from_yaml(text)), yaml.safe_load(text)
    assert found.broken == {}
    assert found.outcome == expected["outcome"]
    told = found.why if found.book is None else found.book.failure or ""
    assert expected.get("says", "") in told
