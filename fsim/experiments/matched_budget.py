"""Matched budgets: each policy's own option for size, tuned to one mean payload.

What is compared is then what policies make of the same bytes. Sizes are measured, not predicted:
the scenario's first round is simulated with each value tried. Its training is in the store after
the first time, so that a value costs only its encoding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fsim.compression import make_policy
from fsim.compression.size_option import SizeOption
from fsim.core.errors import ScenarioError
from fsim.experiments.policies import PolicyChoice
from fsim.experiments.prepared import last_prepared
from fsim.settings.loading import LoadedScenario
from fsim.simulation.run import simulate
from fsim.store import Store

TRIES = 12
"""Values that are tried for a policy, at most."""

CLOSE = 0.01
"""Relative difference to the budget at which no further value is tried."""


@dataclass(frozen=True)
class Tuned:
    """A policy after tuning.

    Attributes
    ----------
    choice
        With the options found, under its own label.
    options
        Those that were changed; empty for a policy that has no option for size.
    payload_bytes
        Mean payload of the first round with them.
    """

    choice: PolicyChoice
    options: dict[str, float | int]
    payload_bytes: float


def match_budget(
    loaded: LoadedScenario,
    choices: Sequence[PolicyChoice],
    budget: int,
    store: Store | None = None,
    on_tuned: Callable[[Tuned], None] | None = None,
) -> list[Tuned]:
    """Tune policies so that their mean payload comes as close to a budget as their options allow.

    Parameters
    ----------
    loaded
        The scenario whose first round is the sample.
    choices
        The policies; what else they set stays.
    budget
        Bytes as they are billed.
    store
        Where results of learning are looked up and kept; None keeps them while this lasts.
    on_tuned
        Called after each policy.

    Raises
    ------
    ScenarioError
        The budget is not positive, or no payload arrived in the first round.
    """
    if budget < 1:
        raise ScenarioError(f"--match-budget: found {budget}, allowed is 1 byte or more")
    tuned = []
    with tempfile.TemporaryDirectory(prefix="fsim-") as place:
        open_store = store or Store(Path(place))
        for choice in choices:
            tuned.append(_tune(loaded, choice, budget, open_store))
            if on_tuned is not None:
                on_tuned(tuned[-1])
    return tuned


def _tune(loaded: LoadedScenario, choice: PolicyChoice, budget: int, store: Store) -> Tuned:
    policy = make_policy(choice.policy, choice.options)
    option = policy.size_option
    if option is None:
        return Tuned(choice, {}, _payload(loaded, choice, store))

    def attempt(value: float) -> Tuned:
        options = option.options(policy, value)
        tried = replace(choice, options={**choice.options, **options})
        return Tuned(tried, options, _payload(loaded, tried, store))

    return search(attempt, budget, option)


def search(attempt: Callable[[float], Tuned], budget: int, option: SizeOption) -> Tuned:
    """Halve the range of an option, in its logarithm, until the payload is close to the budget.

    Returns
    -------
    Tuned
        The closest of all that were tried, the shorter of two as close.
    """
    tried: dict[float, Tuned] = {}
    low, high = option.least, option.most
    for _ in range(TRIES):
        value = option.between(low, high)
        if value in tried:
            # Whole numbers have run out; the ends of the range may still be untried.
            value = next((end for end in (low, high) if end not in tried), value)
        if value in tried:
            break
        tried[value] = attempt(value)
        size = tried[value].payload_bytes
        if abs(size - budget) <= CLOSE * budget:
            break
        low, high = (low, value) if size > budget else (value, high)
    closest = tried.values()
    return min(closest, key=lambda one: (abs(one.payload_bytes - budget), one.payload_bytes))


def _payload(loaded: LoadedScenario, choice: PolicyChoice, store: Store) -> float:
    """Mean bytes of the payloads of the first round."""
    scenario = loaded.scenario.with_policy(choice.policy, choice.options)
    first = scenario.model_copy(
        update={
            "protocol": scenario.protocol.model_copy(update={"rounds": 1}),
            "evaluation": scenario.evaluation.model_copy(update={"examples": 1}),
        }
    )
    run = simulate(
        loaded.model_copy(update={"scenario": first}), None, store, build=last_prepared.build
    )
    if run.metrics.mean_payload_bytes is None:
        reason = run.failure or "no payload arrived in the first round"
        raise ScenarioError(f"--match-budget: {choice.label}: {reason}")
    return run.metrics.mean_payload_bytes
