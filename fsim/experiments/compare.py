"""Several policies under one scenario: the same clients, data order and weather for each."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.choosing import parse_choice
from fsim.compression import POLICIES, make_policy
from fsim.errors import ScenarioError
from fsim.experiments.run import run_to_folder
from fsim.results.comparison import comparison_table
from fsim.results.output import COMPARISON, folder_name, replacing
from fsim.scenario import LoadedScenario
from fsim.simulation import Progress
from fsim.store import Store


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
    choices = [PolicyChoice.parse(part) for part in text.split(",") if part.strip()]
    if not choices:
        raise ScenarioError(f"--policies: found none, allowed are {', '.join(POLICIES)}")
    labels = [choice.label for choice in choices]
    for label in labels:
        if labels.count(label) > 1:
            raise ScenarioError(f"--policies: found {label!r} twice")
    return choices


def compare(
    loaded: LoadedScenario,
    choices: Sequence[PolicyChoice],
    folder: Path,
    baseline: str,
    jobs: int,
    on_progress: Callable[[str, Progress], None] | None = None,
    store: Store | None = None,
) -> pd.DataFrame:
    """Run a scenario under each policy, and write ``comparison.csv`` beside the runs.

    Parameters
    ----------
    loaded
        The scenario; its own policy is not used.
    choices
        The policies.
    folder
        Each run goes to a folder below it.
    baseline
        Label of the policy that ratios are taken to.
    jobs
        Runs at a time, each in a process of its own.
    on_progress
        Called with a label after each of its evaluations.
    store
        Where results of learning are looked up and kept, by all runs.

    Raises
    ------
    ScenarioError
        The scenario cannot be run, or the baseline is not among the policies.
    OutputError
        The folder holds something else, or cannot be written.
    """
    labels = [choice.label for choice in choices]
    if baseline not in labels:
        raise ScenarioError(f"--baseline: found {baseline!r}, allowed are {', '.join(labels)}")
    if jobs < 1:
        raise ScenarioError(f"--jobs: found {jobs}, allowed is 1 or more")
    with replacing(folder) as temporary:
        summaries = _run_all(loaded, choices, temporary, jobs, on_progress, store)
        table = comparison_table(summaries, baseline)
        table.to_csv(temporary / COMPARISON, index=False)
    return table


def _run_all(
    loaded: LoadedScenario,
    choices: Sequence[PolicyChoice],
    folder: Path,
    jobs: int,
    on_progress: Callable[[str, Progress], None] | None,
    store: Store | None,
) -> dict[str, dict[str, Any]]:
    # Spawned, not forked: PyTorch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(min(jobs, len(choices)), mp_context=context) as pool,
    ):
        queue = manager.Queue()
        futures = {
            choice.label: pool.submit(_run_one, loaded, choice, folder, queue, store)
            for choice in choices
        }
        pending = set(futures.values())
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                pool.shutdown(cancel_futures=True)
                break
            while on_progress is not None and not queue.empty():
                on_progress(*queue.get())
        return {label: future.result() for label, future in futures.items()}


def _run_one(
    loaded: LoadedScenario, choice: PolicyChoice, folder: Path, queue: Any, store: Store | None
) -> dict[str, Any]:
    scenario = loaded.scenario.with_policy(choice.policy, choice.options)
    return run_to_folder(
        loaded.model_copy(update={"scenario": scenario}),
        folder / folder_name(choice.label),
        choice.label,
        lambda progress: queue.put((choice.label, progress)),
        store,
    )
