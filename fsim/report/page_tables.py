"""The tables of a report: a list of heads, and rows of written cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import pandas as pd

from fsim.core.units import format_bytes, format_duration
from fsim.results.loading import Results, in_words

COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "time_to_target_s": ("time to target", format_duration),
    "uplink_bytes_to_target": ("uplink to target", format_bytes),
    "rounds_to_target": ("rounds to target", lambda value: f"{value:.3g}"),
    "energy_to_target_j": ("energy to target", lambda value: f"{value:,.0f} J"),
    "final_accuracy": ("final accuracy", lambda value: f"{value:.1%}"),
    "best_accuracy": ("best accuracy", lambda value: f"{value:.1%}"),
    "mean_payload_bytes": ("mean payload", format_bytes),
    "simulated_s": ("simulated", format_duration),
    "uplink_bytes": ("uplink", format_bytes),
    "dropouts": ("lost clients", lambda value: f"{value:.3g}"),
}
"""Metric -> its head in the table, and how a number of it is written."""

MODELS = {
    "task, partition": ("task.name", "task.partition.kind"),
    "base model": ("model.name",),
    "adapter": ("model.lora.rank", "model.lora.targets"),
    "compression": ("compression.policy",),
    "protocol, selection": ("protocol.kind", "protocol.selection.kind"),
    "aggregation, server optimizer": ("server.aggregation.kind", "server.optimizer.kind"),
    "clients": ("fleet.clients",),
    "devices": ("fleet.devices",),
    "uplink": ("fleet.uplink.trace", "fleet.uplink.rate", "fleet.uplink.mean"),
    "downlink": ("fleet.downlink.trace", "fleet.downlink.rate", "fleet.downlink.mean"),
    "transport": ("transport.kind",),
    "availability": ("fleet.availability.kind",),
    "energy of the radio": ("fleet.uplink_power", "fleet.radio"),
}
"""What is modelled -> settings that choose the model: dotted keys, or the beginnings of such."""

Table = tuple[list[str], list[list[str]]]


def results_table(summary: pd.DataFrame) -> Table:
    """A row a series: means over its seeds, and their range."""
    heads = ["series", "seeds", "reached", *(head for head, _ in COLUMNS.values())]
    rows = []
    for name, own in summary.groupby("series", sort=False):
        reached = own["time_to_target_s"].notna().sum()
        cells = [_spread(own[column], write) for column, (_, write) in COLUMNS.items()]
        rows.append([str(name), str(len(own)), f"{reached} of {len(own)}", *cells])
    return heads, rows


def _spread(values: pd.Series, write: Callable[[float], str]) -> str:
    if values.isna().any():
        # A mean over those that happened to reach it would flatter.
        reached = values.notna().sum()
        return "never" if not reached else f"{reached} of {len(values)}"
    mean = write(values.mean())
    low, high = write(values.min()), write(values.max())
    return mean if low == high else f"{mean} ({low} to {high})"


def runs_table(summary: pd.DataFrame) -> Table:
    """A row a run."""
    heads = ["run", "policy", "seed", "status", *(head for head, _ in COLUMNS.values())]
    rows = []
    for row in summary.to_dict("records"):
        cells = [
            "never" if pd.isna(row[column]) else write(row[column])
            for column, (_, write) in COLUMNS.items()
        ]
        rows.append([str(row[key]) for key in ("run", "policy", "seed", "status")] + cells)
    return heads, rows


def settings_table(results: Results) -> Table:
    """Settings that all runs share."""
    settings = results.settings.drop(columns=["run", "policy"])
    shared = [key for key in settings if settings[key].astype(str).nunique() == 1]
    rows = [[str(key), in_words(settings[key].iloc[0])] for key in shared]
    return ["setting", "value"], [row for row in rows if row[1] != "none"]


def models_table(results: Results) -> Table:
    """Table of the models behind each part of the simulation; several where the runs differ."""
    settings = results.settings
    rows = []
    for what, keys in MODELS.items():
        own_keys = [
            str(key) for key in settings if any(f"{key}.".startswith(f"{own}.") for own in keys)
        ]
        parts = []
        for key in own_keys:
            values = dict.fromkeys(in_words(value) for value in settings[key])
            text = " or ".join(value for value in values if value != "none")
            # Beyond the key itself there is a name: a device, of which this is the share.
            name = "" if key in keys else key.rsplit(".", 1)[-1] + " "
            parts += [name + text] if text else []
        if parts:
            rows.append([what, ", ".join(parts)])
    return ["what", "model"], rows


def varied_table(results: Results) -> Table:
    """Settings that differ between the runs, and their values."""
    settings = results.settings.drop(columns=["run", "policy"])
    rows = []
    for key in settings:
        values = list(dict.fromkeys(in_words(value) for value in settings[key]))
        if len(values) > 1:
            rows.append([str(key), ", ".join(values)])
    return ["setting", "values"], rows


def versions_table(results: Results) -> Table:
    """Versions of the packages that the runs were made with."""
    versions: dict[str, list[str]] = {}
    for run in results.runs:
        for package, version in run.summary.get("versions", {}).items():
            if version not in versions.setdefault(package, []):
                versions[package].append(version)
    return ["package", "version"], [[name, ", ".join(own)] for name, own in versions.items()]


def table_html(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Heads and rows of written cells as an HTML table."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
