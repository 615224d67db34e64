"""Measurements of finished runs of the scenarios in ``scenarios/fed_fstq/``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from fsim.audit.experiments import EXPERIMENTS, LANGUAGES, MEMORY, RECALL
from fsim.core.documents import LARGEST_FILE, parse_json, read_text
from fsim.core.errors import OutputError, shown
from fsim.records import Kind, details_of
from fsim.results.energy import energy_by_round
from fsim.results.loading import Results, load
from fsim.results.rounds import client_rounds, server_rounds
from fsim.results.saved_run import SavedRun
from fsim.results.saving import replacing_file

MEASURED_FILE = Path(__file__).with_name("measured.json")
"""What was measured with this version of the package, and is shown unless other runs are given."""

SCHEMA = 1

Setting = tuple[str, float, str]
"""Name, number, and unit; of one that is no number, 0 and the whole value."""

LATE = 5
"""Evaluations that late accuracy is the mean of: one alone swings with who was asked last."""


@dataclass(frozen=True)
class Measurement:
    """One series of an experiment: runs that differ by their seed alone.

    Attributes
    ----------
    experiment
        Key of the experiment.
    series
        The policy, and what else tells it from the experiment's other series.
    model
        The base model that was trained.
    seeds, reached
        Runs, and those of them that reached the target.
    billed_bytes_factor, billed_operations_factor
        Above 1 where a larger model's bytes and seconds were billed.
    values
        Figure -> its mean over the runs that have one, None where none has; see :data:`FIGURES`.
    """

    experiment: str
    series: str
    model: str
    seeds: int
    reached: int
    billed_bytes_factor: float
    billed_operations_factor: float
    values: dict[str, float | None]


FIGURES: dict[str, str] = {
    "payload": "bytes of a mean payload",
    "upload": "s, of the clients that were heard of",
    "compute": "s, of the same clients",
    "slowest": "s, of the slowest of them in each round, download included",
    "round": "s, of the server's rounds, waiting in vain included",
    "energy": "J, of a client and round",
    "time_to_target": "simulated s, of the runs that reached it",
    "uplink_to_target": "bytes of all clients, of the runs that reached it",
    "final_accuracy": "share",
    "late_accuracy": "share, the mean of the last five evaluations, of those after training began",
    "tokens_kept": "share of the tokens that the mask falls on, where the question is about them",
    "token_recall": "share of the most sensitive of them, where it was measured",
    "training_memory": "bytes, the most that a client's training took, the base model included",
    "encoding_memory": "bytes, the most that encoding took beside what it was given",
}
"""Name -> unit."""

BY_LABEL: dict[str, str] = {
    "label_time_to_target": "simulated s, until the label's own accuracy reached the target",
    "label_uplink_to_target": "bytes of all clients until then",
    "label_accuracy": "share, at the end",
}
"""Name -> unit, where the question is about labels: the figure of one is called ``NAME LABEL``."""

ALONE: dict[str, tuple[str, ...]] = {MEMORY.key: ("payload", "training_memory", "encoding_memory")}
"""The figures of an experiment that is too short for the others."""


def parts_of(series: str) -> tuple[str, tuple[Setting, ...]]:
    """``"fstq, alpha=0.1"`` as its policy, and the settings that tell it from other series."""
    policy, *words = series.split(", ")
    pairs = (each.partition("=") for each in words)
    return policy, tuple(setting(name, value) for name, _, value in pairs)


def setting(name: str, value: object) -> Setting:
    """A setting whose number is one however it is written, with or without a unit."""
    number, _, unit = str(value).partition(" ")
    try:
        return name, float(number), unit
    except ValueError:
        return name, 0.0, str(value)


def measurements_of(folder: Path) -> list[Measurement]:
    """Measurements of the runs below a folder, experiment by experiment.

    Parameters
    ----------
    folder
        Of runs, comparisons or sweeps of the scenarios, at any depth; others are passed over.

    Raises
    ------
    OutputError
        There is no such run, one is damaged, or one did not come to its end.
    """
    all_runs = load(folder).runs
    measured: list[Measurement] = []
    for experiment in EXPERIMENTS:
        named = [run for run in all_runs if run.summary.get("name") == experiment.name]
        # The same scenario run by two commands is one run, not two seeds.
        runs = list({run.scenario: run for run in named}.values())
        for run in runs:
            if run.summary.get("status") != "completed":
                raise OutputError(f"{run.folder}: found a run that did not come to its end")
        if runs:
            measured += _measure(experiment.key, Results(runs, folder))
    if not measured:
        names = ", ".join(experiment.name for experiment in EXPERIMENTS if experiment.simulated)
        raise OutputError(f"{folder}: found {len(all_runs)} runs, allowed are those named {names}")
    return measured


def put_in_place(
    earlier: Sequence[Measurement], measured: Sequence[Measurement]
) -> list[Measurement]:
    """Earlier measurements, those of experiments that were measured anew replaced."""
    anew = {each.experiment for each in measured}
    both = [*(each for each in earlier if each.experiment not in anew), *measured]
    order = {experiment.key: at for at, experiment in enumerate(EXPERIMENTS)}
    return sorted(both, key=lambda each: order.get(each.experiment, len(order)))


def write_measured(path: Path, measured: Sequence[Measurement]) -> None:
    """Keep measurements in a file that :func:`read_measured` reads; raises OutputError."""
    data = {"schema": SCHEMA, "measured": [asdict(each) for each in measured]}
    with replacing_file(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def read_measured(path: Path = MEASURED_FILE) -> list[Measurement]:
    """Measurements from runs' folder, or from a file of :func:`write_measured`.

    Raises
    ------
    OutputError
        Neither, or damaged.
    """
    if path.is_dir():
        return measurements_of(path)
    try:
        data = parse_json(read_text(path, LARGEST_FILE))
        if data["schema"] != SCHEMA:
            version = shown(data["schema"])
            raise OutputError(f"{path}: found version {version}, allowed is {SCHEMA}")
        return TypeAdapter(list[Measurement]).validate_python(data["measured"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise OutputError(f"{path}: found no measurements: {error}") from None


def _measure(key: str, results: Results) -> list[Measurement]:
    series = results.series["series"].tolist()
    figures = [_figures(run, key) for run in results.runs]
    measured = []
    # Series of like settings beside each other, numbers in their order; others keep theirs.
    for name in sorted(dict.fromkeys(series), key=lambda each: parts_of(each)[1]):
        places = [at for at, other in enumerate(series) if other == name]
        first = results.runs[places[0]]
        facts = first.summary.get("facts", {})
        rows = [figures[at] for at in places]
        measured.append(
            Measurement(
                experiment=key,
                series=str(name),
                model=str(first.settings.get("model.name")),
                seeds=len(places),
                reached=sum(row["time_to_target"] is not None for row in rows),
                billed_bytes_factor=float(facts.get("billed_bytes_factor", 1.0)),
                billed_operations_factor=float(facts.get("billed_operations_factor", 1.0)),
                values={
                    figure: _mean([row.get(figure) for row in rows])
                    for figure in ALONE.get(key, tuple(rows[0]))
                },
            )
        )
    return measured


def _figures(run: SavedRun, key: str) -> dict[str, float | None]:
    metrics: dict[str, Any] = run.summary["metrics"]
    records = run.records.assign(run="it")
    clients = client_rounds(records)
    clients = clients[~clients["lost"]]
    energy = energy_by_round(run.records)
    spent = energy["total_j"].sum() / energy["clients"].sum() if len(energy) else np.nan
    figures = {
        "payload": _number(metrics["mean_payload_bytes"]),
        "upload": _number(clients["upload_s"].mean()),
        "compute": _number(clients["compute_s"].mean()),
        "slowest": _number(clients.groupby("round")["duration_s"].max().mean()),
        "round": _number(server_rounds(records)["duration_s"].mean()),
        "energy": _number(spent),
        "time_to_target": _number(metrics["time_to_target_s"]),
        "uplink_to_target": _number(metrics["uplink_bytes_to_target"]),
        "final_accuracy": _number(metrics["final_accuracy"]),
        "late_accuracy": _late(run.evaluations),
    }
    if key == RECALL.key:
        computed = run.records.loc[run.records["kind"] == Kind.COMPUTE, "details"]
        details = pd.DataFrame([details_of(text) for text in computed if text])
        for name in ("tokens_kept", "token_recall"):
            figures[name] = _number(details[name].mean()) if name in details else None
    if key == MEMORY.key:
        facts = run.summary.get("facts", {})
        for name in ("training_memory", "encoding_memory"):
            figures[name] = _number(facts.get(f"{name}_bytes"))
    if key == LANGUAGES.key:
        columns = ("time_to_target_s", "uplink_bytes_to_target", "final_accuracy")
        for row in Results([run]).labels.sort_values("label").to_dict("records"):
            for name, column in zip(BY_LABEL, columns, strict=True):
                figures[f"{name} {row['label']}"] = _number(row[column])
    return figures


def _late(evaluations: pd.DataFrame) -> float | None:
    trained = evaluations.loc[evaluations["round"] > 0, "accuracy"]
    return _number(trained.tail(LATE).mean()) if len(trained) >= LATE else None


def _number(value: float | None) -> float | None:
    """A number with nine digits, so that a sum's order does not show; None for none."""
    return None if value is None or pd.isna(value) else float(f"{float(value):.9g}")


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return _number(float(np.mean(numbers))) if numbers else None
