"""Several policies under one scenario: the same clients, data order and weather for each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.core.errors import ScenarioError, shown
from fsim.experiments.engines.registry import make_engine
from fsim.experiments.jobs import Engine, Job, Outcome, do_jobs
from fsim.experiments.matched_budget import Tuned
from fsim.experiments.matched_budget import match_budget as tune_to_budget
from fsim.experiments.policies import PolicyChoice, as_policies
from fsim.experiments.sweep_spec import as_seeds
from fsim.experiments.views import ResultTable
from fsim.results.comparison import comparison_table
from fsim.results.folders import replacing
from fsim.results.manifest import BUDGET, COMPARISON, STATISTICS, Identity
from fsim.results.saving import folder_name
from fsim.results.statistics import statistics
from fsim.settings.loading import Changes, LoadedScenario, ScenarioLike, as_loaded
from fsim.simulation.run import Progress
from fsim.store import Store, as_store


def compare(
    scenario: ScenarioLike,
    policies: str | Sequence[str | PolicyChoice],
    out: str | Path | None = None,
    baseline: str | None = None,
    jobs: int | None = None,
    on_progress: Callable[[str, Progress], None] | None = None,
    store: Store | Path | str | None = None,
    *,
    set: Changes = (),
    seeds: str | Sequence[int] = (),
    match_budget: int | None = None,
    on_tuned: Callable[[Tuned], None] | None = None,
    overwrite: bool = False,
) -> ResultTable:
    """Run a scenario under each policy, and write ``comparison.csv`` beside the runs.

    With several seeds that has a row for each policy and seed, and ``statistics.csv`` a row for
    each policy and metric (:func:`fsim.results.statistics.statistics`).

    Parameters
    ----------
    scenario
        A path, nested mappings, or a loaded scenario (:func:`fsim.settings.loading.as_loaded`); its
        own policy is not used.
    policies
        As ``["float16", "qsgd:bits=2"]``, or in one string separated by commas.
    out
        Each run goes to a folder below it. New, empty, or an earlier comparison's of the same
        scenario and not of more policies or seeds, which is replaced. ``runs/NAME-comparison`` by
        default.
    baseline
        The policy, as it was given, that ratios are taken to; the first by default.
    jobs
        Runs at a time, each in a process that stays for the next; None runs them in this process,
        one after another.
    on_progress
        Called with a run's name (:func:`run_name`) after each of its evaluations.
    store
        Where results of learning are looked up and kept, by all runs: a store, a folder, a URL or
        ``"none"``; ``FSIM_STORE`` or a cache by default (:func:`fsim.store.as_store`).
    set
        Keys of the scenario that get other values: ``{"protocol.rounds": 3}``, or
        ``["protocol.rounds=3"]`` as the command line has it.
    seeds
        The same for every policy; the scenario's own if there is none.
    match_budget
        Bytes of a mean payload that each policy's option for size is tuned to
        (:mod:`fsim.experiments.matched_budget`), under the first seed; what came of it is written
        to ``budget.csv``.
    on_tuned
        Called after each policy that was.
    overwrite
        Whether other results in the folder are replaced.

    Returns
    -------
    ResultTable
        What ``comparison.csv`` holds, a DataFrame; ``plot`` draws figures of the runs.

    Raises
    ------
    ScenarioError
        The scenario cannot be run, or the baseline is not among the policies.
    OutputError
        The folder holds something else, cannot be written, or another process is at work on it.
    """
    loaded, choices = as_loaded(scenario, set), as_policies(policies)
    seeds, open_store = as_seeds(seeds), as_store(store)
    folder = comparison_folder(loaded) if out is None else Path(out)
    labels = [choice.label for choice in choices]
    if baseline is None:
        baseline = labels[0]
    if baseline not in labels:
        raise ScenarioError(f"--baseline: found {shown(baseline)}, allowed are {', '.join(labels)}")
    several: Sequence[int | None] = seeds if len(seeds) > 1 else [None]
    identity = _identity(loaded, labels, seeds, match_budget)
    with replacing(folder, identity, overwrite=overwrite) as temporary:
        engine = make_engine("local", jobs)
        if seeds:
            loaded = _with_seed(loaded, seeds[0])
        if match_budget is not None:
            tuned = tune_to_budget(loaded, choices, match_budget, open_store, on_tuned)
            choices = [each.choice for each in tuned]
            budget_table(tuned, match_budget).to_csv(temporary / BUDGET, index=False)
        runs = {(choice.label, seed): choice for seed in several for choice in choices}
        todo = [
            _job(loaded, choice, seed, temporary, open_store) for (_, seed), choice in runs.items()
        ]
        names = [run_name(label, seed) for label, seed in runs]
        summaries = dict(zip(runs, _run_all(engine, todo, names, on_progress), strict=True))
        if open_store is not None:
            open_store.tidy()
        tables = []
        for seed in several:
            own = {label: summaries[label, seed] for label in labels}
            tables.append(comparison_table(own, baseline, seed))
        table = pd.concat(tables, ignore_index=True)
        table.to_csv(temporary / COMPARISON, index=False)
        if len(several) > 1:
            statistics(table, baseline).to_csv(temporary / STATISTICS, index=False)
    return ResultTable(table, folder)


def comparison_folder(loaded: LoadedScenario) -> Path:
    """The default folder of a comparison's results."""
    return Path("runs") / f"{loaded.scenario.name}-comparison"


def run_name(label: str, seed: int | None) -> str:
    """The label of a run: its policy, and where there are several seeds its seed."""
    return label if seed is None else f"{label}:seed={seed}"


def budget_table(tuned: Sequence[Tuned], budget: int) -> pd.DataFrame:
    """The outcome of tuning to a budget: a row for each policy.

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
    """The identity of a comparison: a scenario but for policy and seed, and the runs of it."""
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
