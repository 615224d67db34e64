"""Sweeps: a scenario under every combination of values, each in a folder of its own.

A sweep's folder holds ``sweep.json`` (what is swept), a folder for each cell as a run leaves it,
and in the end ``sweep.csv``. A cell is finished if its folder holds a completed run of the same
scenario, the same files and the same code; that one is not run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from fsim.core.documents import parse_json, read_text
from fsim.core.errors import OutputError
from fsim.experiments.engines.registry import make_engine
from fsim.experiments.grid import Cell, name_of
from fsim.experiments.jobs import Engine, Job, Outcome, do_jobs
from fsim.experiments.run import code_version
from fsim.experiments.sweep_spec import SweepSpec
from fsim.experiments.views import ResultTable
from fsim.results.folders import growing
from fsim.results.manifest import SUMMARY, SWEEP, SWEEP_SCHEMA, TABLE, Identity
from fsim.results.saved_run import LARGEST_SUMMARY
from fsim.results.saving import replacing_file
from fsim.settings.loading import Changes, ScenarioLike
from fsim.simulation.run import Progress
from fsim.store import Store, as_store

TRAILING = ("jobs_trained", "jobs_reused", "error")


@dataclass(frozen=True)
class SweepProgress:
    """The state of a sweep.

    Attributes
    ----------
    cell
        The one that has just begun, been evaluated, ended, or been found finished.
    run
        Where that stands, if it has been evaluated.
    state
        ``"running"``, ``"completed"``, ``"failed"`` or ``"kept"``, for one that an earlier call
        has finished.
    finished, failed, cells
        How many have ended, of these failed, and how many there are.
    """

    cell: str
    run: Progress | None
    state: str
    finished: int
    failed: int
    cells: int


def sweep(
    scenario: ScenarioLike,
    over: Sequence[str] | Mapping[str, Any] = (),
    seeds: str | Sequence[int] = (),
    set: Changes = (),
    *,
    out: str | Path | None = None,
    engine: str = "local",
    jobs: int | None = None,
    ray_address: str | None = None,
    store: Store | Path | str | None = None,
    on_progress: Callable[[SweepProgress], None] | None = None,
    overwrite: bool = False,
) -> ResultTable:
    """Run a scenario under every combination of values.

    Called again with the same arguments, it goes on where it was.

    Parameters
    ----------
    scenario
        A path, nested mappings, or a loaded scenario (:func:`fsim.settings.loading.as_loaded`); or
        the path of a sweep file.
    over
        Keys and their values, ``{"protocol.rounds": [3, 6]}``, or ``key.path=value,value`` each.
    seeds
        Values of the key ``seed``.
    set
        Keys of the scenario that get other values in all cells: ``{"protocol.rounds": 3}``, or
        ``["protocol.rounds=3"]`` as the command line has it.
    out
        ``runs/NAME-sweep`` by default.
    engine
        ``"local"`` or ``"ray"``.
    jobs
        Cells run at a time, each in a process that stays for the next; None runs them in this
        process, one after another.
    ray_address
        Of a Ray cluster.
    store
        Where results of learning are looked up and kept, by all cells: a store, a folder, a URL or
        ``"none"``; ``FSIM_STORE`` or a cache by default (:func:`fsim.store.as_store`).
    on_progress
        Called whenever something has happened.
    overwrite
        Whether results of something else in the folder are replaced, once this sweep has ended.

    Returns
    -------
    ResultTable
        A DataFrame whose ``plot`` draws figures of the runs. It has a row for each cell: ``cell``
        (its folder), ``status``, a column for each key, the run's metrics
        (:class:`fsim.results.metrics.Metrics`), ``jobs_trained``, ``jobs_reused`` and ``error``,
        empty for a cell that was completed. A failed cell does not stop the others.

    Raises
    ------
    ScenarioError
        A cell that cannot be run as it is; none has been run then.
    OutputError
        The folder holds something else, cannot be written, or another process is at work on it;
        the cells finished by then are kept.
    """
    request = SweepSpec.read(scenario, over, seeds, set)
    cells = request.cells()
    return run_sweep(
        request,
        cells,
        lambda: make_engine(engine, jobs, ray_address),
        sweep_folder(cells) if out is None else Path(out),
        as_store(store),
        on_progress,
        overwrite=overwrite,
    )


def run_sweep(
    request: SweepSpec,
    cells: Sequence[Cell],
    start: Callable[[], Engine],
    folder: Path,
    store: Store | None,
    on_progress: Callable[[SweepProgress], None] | None = None,
    *,
    overwrite: bool = False,
) -> ResultTable:
    """As :func:`sweep`, from its parts; ``start`` makes the engine once the folder may be used."""
    runs = {cell.name: cell.name for cell in cells}
    identity = Identity("sweep", cells[0].loaded.scenario.name, "", runs)
    with growing(folder, identity, overwrite=overwrite) as place, closing(start()) as engine:
        _begin(place, request, cells)
        outcomes = _run(cells, place, engine, store, on_progress)
        if store is not None:
            store.tidy()
        table = sweep_table(cells, outcomes)
        with replacing_file(place / TABLE) as temporary:
            table.to_csv(temporary, index=False)
    return ResultTable(table, folder)


def sweep_folder(cells: Sequence[Cell]) -> Path:
    """The default folder of a sweep's results."""
    return Path("runs") / f"{cells[0].loaded.scenario.name}-sweep"


def sweep_table(cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> pd.DataFrame:
    """One row for each cell, in the order given; see :func:`sweep`."""
    rows = []
    for cell, outcome in zip(cells, outcomes, strict=True):
        summary = outcome.summary or {"status": "failed", "metrics": {}, "facts": {}}
        row = {"cell": cell.name, "status": summary["status"]}
        row |= {key: value.plain for key, value in cell.values.items()}
        row |= summary["metrics"]
        row |= {name: summary["facts"].get(name) for name in ("jobs_trained", "jobs_reused")}
        rows.append({**row, "error": outcome.failure})
    table = pd.DataFrame(rows)
    ends = [name for name in table.columns if name not in TRAILING]
    whole = ("uplink_bytes_to_target", "rounds_to_target", "uplink_bytes", "dropouts")
    types = {name: "Int64" for name in (*whole, *TRAILING[:2]) if name in table}
    return table[[*ends, *TRAILING]].astype(types)


def _run(
    cells: Sequence[Cell],
    folder: Path,
    engine: Engine,
    store: Store | None,
    on_progress: Callable[[SweepProgress], None] | None,
) -> list[Outcome]:
    outcomes = [_finished(cell, folder / cell.name) for cell in cells]
    missing = [at for at, outcome in enumerate(outcomes) if outcome is None]

    def tell(at: int, state: str, run: Progress | None = None) -> None:
        if on_progress is not None:
            outcomes_so_far = [outcome for outcome in outcomes if outcome is not None]
            failed = sum(outcome.failure is not None for outcome in outcomes_so_far)
            name = str(cells[at])
            on_progress(SweepProgress(name, run, state, len(outcomes_so_far), failed, len(cells)))

    for at in range(len(cells)):
        if outcomes[at] is not None:
            tell(at, "kept")
    jobs = [
        Job(cells[at].loaded, folder / cells[at].name, store, cells[at].policy) for at in missing
    ]
    for number, event in do_jobs(engine, jobs):
        at = missing[number]
        if isinstance(event, Outcome):
            outcomes[at] = event
            _stop_if_unwritable(event, outcomes)
            tell(at, "completed" if event.failure is None else "failed")
        else:
            tell(at, "running", event)
    return [outcome or Outcome() for outcome in outcomes]


def _stop_if_unwritable(outcome: Outcome, outcomes: Sequence[Outcome | None]) -> None:
    """Raise on a failed write: if one cell cannot write, no other can, and runs are in vain."""
    if isinstance(outcome.error, OutputError):
        completed = sum(each is not None and each.failure is None for each in outcomes)
        raise OutputError(
            f"{outcome.error}; {completed} of {len(outcomes)} cells are finished, and the same "
            "command goes on from there"
        )


def _finished(cell: Cell, folder: Path) -> Outcome | None:
    """The result of a cell from an earlier call, if complete and of the same settings."""
    try:
        summary = parse_json(read_text(folder / SUMMARY, LARGEST_SUMMARY))
    except ValueError:
        return None
    same = (
        isinstance(summary, dict)
        and all(isinstance(summary.get(part), dict) for part in ("metrics", "facts"))
        and summary.get("status") == "completed"
        and summary.get("code_sha256") == code_version()
        and summary.get("scenario_sha256") == cell.loaded.digest
    )
    return Outcome(summary) if same else None


def _begin(folder: Path, request: SweepSpec, cells: Sequence[Cell]) -> None:
    """Write what is swept."""
    summary = {
        "schema": SWEEP_SCHEMA,
        "fsim": version("fsim"),
        "scenario": name_of(request.scenario),
        "set": list(request.overrides),
        "keys": [axis.key for axis in request.axes],
        "cells": [
            {
                "folder": cell.name,
                "values": {key: value.plain for key, value in cell.values.items()},
            }
            for cell in cells
        ],
    }
    with replacing_file(folder / SWEEP) as temporary:
        temporary.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", "utf-8")
