"""Several policies under one scenario: the same clients, data order and weather for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.compression import POLICIES, make_policy
from fsim.core.errors import ScenarioError, shown
from fsim.core.registry import parse_choice
from fsim.core.validation import repeated
from fsim.experiments.engines.base import make_engine
from fsim.experiments.jobs import Engine, Job, Outcome, do_jobs
from fsim.experiments.matched_budget import Tuned, match_budget
from fsim.results.comparison import comparison_table
from fsim.results.folders import replacing
from fsim.results.manifest import BUDGET, COMPARISON, STATISTICS, Identity
from fsim.results.saving import folder_name
from fsim.results.statistics import statistics
from fsim.settings.loading import LoadedScenario
from fsim.simulation.run import Progress
from fsim.store import Store

LONGEST_LABEL = 200
"""Characters of a policy with its options, by which its folder is called."""

MOST_POLICIES = 1000


@dataclass(frozen=True)
class PolicyChoice:
    """A policy as the command line names it: ``qsgd`` or ``qsgd:bits=2:bucket=64``."""

    label: str
    policy: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> PolicyChoice:
        """Read and check a choice.

        Raises
        ------
        ScenarioError
            Saying what was found and what is allowed.
        """
        if len(text.strip()) > LONGEST_LABEL:
            raise ScenarioError(
                f"--policies: found {shown(text)} of {len(text.strip())} characters, allowed are "
                f"{LONGEST_LABEL}"
            )
        name, options = parse_choice("--policies", text)
        try:
            make_policy(name, options)
        except ValueError as error:
            raise ScenarioError(f"--policies: {error}") from None
        return cls(text.strip(), name, options)


def parse_policies(text: str) -> list[PolicyChoice]:
    """Read a comma-separated list of policies, each at most once.

    Raises
    ------
    ScenarioError
        No policy, an unknown one, or one twice.
    """
    labels = [part.strip() for part in text.split(",") if part.strip()]
    if not labels:
        raise ScenarioError(f"--policies: found none, allowed are {', '.join(POLICIES)}")
    if twice := repeated(labels):
        raise ScenarioError(f"--policies: found {shown(twice)} twice")
    if len(labels) > MOST_POLICIES:
        raise ScenarioError(f"--policies: found {len(labels)}, allowed are {MOST_POLICIES}")
    return [PolicyChoice.parse(label) for label in labels]


def compare(
    loaded: LoadedScenario,
    choices: Sequence[PolicyChoice],
    folder: Path,
    baseline: str,
    jobs: int | None,
    on_progress: Callable[[str, Progress], None] | None = None,
    store: Store | None = None,
    *,
    seeds: Sequence[int] = (),
    budget: int | None = None,
    on_tuned: Callable[[Tuned], None] | None = None,
    overwrite: bool = False,
) -> pd.DataFrame:
    """Run a scenario under each policy, and write ``comparison.csv`` beside the runs.

    With several seeds that has a row for each policy and seed, and ``statistics.csv`` a row for
    each policy and metric (:func:`fsim.results.statistics.statistics`).

    Parameters
    ----------
    loaded
        The scenario; its own policy is not used.
    choices
        The policies.
    folder
        Each run goes to a folder below it. New, empty, or an earlier comparison's of the same
        scenario and not of more policies or seeds, which is replaced.
    baseline
        Label of the policy that ratios are taken to.
    jobs
        Runs at a time, each in a process that stays for the next; None runs them in this process,
        one after another.
    on_progress
        Called with a run's name (:func:`run_name`) after each of its evaluations.
    store
        Where results of learning are looked up and kept, by all runs.
    seeds
        The same for every policy; the scenario's own if there is none.
    budget
        Bytes of a mean payload that each policy's option for size is tuned to
        (:func:`fsim.experiments.matched_budget.match_budget`), under the first seed; what came of
        it is written to ``budget.csv``.
    on_tuned
        Called after each policy that was.
    overwrite
        Whether other results in the folder are replaced.

    Returns
    -------
    pandas.DataFrame
        What ``comparison.csv`` holds.

    Raises
    ------
    ScenarioError
        The scenario cannot be run, or the baseline is not among the policies.
    OutputError
        The folder holds something else, cannot be written, or another process is at work on it.
    """
    labels = [choice.label for choice in choices]
    if baseline not in labels:
        raise ScenarioError(f"--baseline: found {baseline!r}, allowed are {', '.join(labels)}")
    several = seeds if len(seeds) > 1 else [None]
    identity = _identity(loaded, labels, seeds, budget)
    with replacing(folder, identity, overwrite=overwrite) as temporary:
        engine = make_engine("local", jobs)
        if seeds:
            loaded = _with_seed(loaded, seeds[0])
        if budget is not None:
            tuned = match_budget(loaded, choices, budget, store, on_tuned)
            choices = [each.choice for each in tuned]
            budget_table(tuned, budget).to_csv(temporary / BUDGET, index=False)
        runs = {(choice.label, seed): choice for seed in several for choice in choices}
        todo = [_job(loaded, choice, seed, temporary, store) for (_, seed), choice in runs.items()]
        names = [run_name(label, seed) for label, seed in runs]
        summaries = dict(zip(runs, _run_all(engine, todo, names, on_progress), strict=True))
        if store is not None:
            store.tidy()
        tables = []
        for seed in several:
            own = {label: summaries[label, seed] for label in labels}
            tables.append(comparison_table(own, baseline, seed))
        table = pd.concat(tables, ignore_index=True)
        table.to_csv(temporary / COMPARISON, index=False)
        if len(several) > 1:
            statistics(table, baseline).to_csv(temporary / STATISTICS, index=False)
    return table


def run_name(label: str, seed: int | None) -> str:
    """What a run is called: its policy, and where there are several seeds its seed."""
    return label if seed is None else f"{label}:seed={seed}"


def budget_table(tuned: Sequence[Tuned], budget: int) -> pd.DataFrame:
    """What tuning to a budget came to: a row for each policy.

    ``options`` is empty for a policy that has no option for size and was left as it is;
    ``payload_bytes`` is the mean of the sample, ``ratio`` that over the budget.
    """
    rows = [
        {
            "policy": each.choice.label,
            "options": ":".join(f"{name}={value:g}" for name, value in each.options.items()),
            "budget_bytes": budget,
            "payload_bytes": each.payload_bytes,
            "ratio": each.payload_bytes / budget,
        }
        for each in tuned
    ]
    return pd.DataFrame(rows)


def _identity(
    loaded: LoadedScenario, labels: Sequence[str], seeds: Sequence[int], budget: int | None
) -> Identity:
    """What a comparison is of: a scenario but for policy and seed, and which of these were run."""
    scenario = loaded.scenario
    none = type(scenario.compression).model_validate({"policy": "float32"})
    rest = scenario.model_copy(update={"compression": none, "seed": 0})
    digest = loaded.model_copy(update={"scenario": rest}).digest
    if budget is not None:
        digest = hashlib.sha256(f"{digest} {budget}".encode()).hexdigest()
    several = len(seeds) > 1
    runs = {
        run_name(label, seed): folder_name(run_name(label, seed if several else None))
        for seed in seeds or [scenario.seed]
        for label in labels
    }
    return Identity("comparison", scenario.name, digest, runs)


def _with_seed(loaded: LoadedScenario, seed: int) -> LoadedScenario:
    scenario = loaded.scenario.model_copy(update={"seed": seed})
    return loaded.model_copy(update={"scenario": scenario})


def _job(
    loaded: LoadedScenario,
    choice: PolicyChoice,
    seed: int | None,
    folder: Path,
    store: Store | None,
) -> Job:
    own = loaded if seed is None else _with_seed(loaded, seed)
    scenario = own.scenario.with_policy(choice.policy, choice.options)
    return Job(
        own.model_copy(update={"scenario": scenario}),
        folder / folder_name(run_name(choice.label, seed)),
        store,
        choice.label,
    )


def _run_all(
    engine: Engine,
    todo: Sequence[Job],
    names: Sequence[str],
    on_progress: Callable[[str, Progress], None] | None,
) -> list[dict[str, Any]]:
    """Summaries of all jobs; the first error ends them all."""
    summaries: dict[int, dict[str, Any]] = {}
    with closing(do_jobs(engine, todo)) as events:
        for number, event in events:
            if isinstance(event, Progress) and on_progress is not None:
                on_progress(names[number], event)
            if isinstance(event, Outcome):
                if event.summary is None:
                    raise event.error or RuntimeError(
                        f"{names[number]} left neither result nor error"
                    )
                summaries[number] = event.summary
    return [summaries[number] for number in range(len(todo))]
