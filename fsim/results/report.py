"""A report of any number of runs: one HTML file, which fetches nothing."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from string import Template

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from fsim.results.caveats import warnings_of
from fsim.results.contents.content import billing_note
from fsim.results.drawing import drawn
from fsim.results.figures import FIGURES
from fsim.results.figures.style import STYLE
from fsim.results.loading import Results, in_words
from fsim.results.output import replacing_file
from fsim.results.report_page import PAGE
from fsim.units import format_bytes, format_duration

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


def write_report(results: Results, path: Path) -> None:
    """Write a report.

    Parameters
    ----------
    results
        From :func:`fsim.load`.
    path
        The HTML file, replaced if it exists.

    Raises
    ------
    OutputError
        A run cannot be read, or the file cannot be written.
    """
    text = report(results)
    with replacing_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def report(results: Results) -> str:
    """The report as HTML; see :func:`write_report`."""
    summary = results.series
    names = ", ".join(dict.fromkeys(summary["name"].astype(str)))
    figures = drawn(FIGURES, results)
    told = warnings_of(results)
    return Template(PAGE).substitute(
        title=escape(f"fsim: {names}"),
        names=escape(names),
        lead=escape(_lead(summary)),
        billing=_paragraph(billing_note(summary)),
        warnings=_list(told) if told else "<p>None.</p>",
        results=_table(*_results_table(summary)),
        runs=_table(*_runs_table(summary)),
        figures="\n".join(_section(name, figure) for name, figure in figures.items()),
        settings=_table(*_settings_table(results)),
        varied=_table(*_varied_table(results)),
        versions=_table(*_versions_table(results)),
        command=escape("\n".join(commands(results))),
        scenario=escape(results.runs[0].scenario),
    )


def commands(results: Results) -> list[str]:
    """Commands that run each of the runs again; its ``scenario.yaml`` has every default."""
    return [
        shlex.join(["fsim", "run", str(run.folder / "scenario.yaml"), "--out", f"again/{name}"])
        for name, run in zip(results.names, results.runs, strict=True)
    ]


def inline_svg(figure: Figure, prefix: str) -> str:
    """A figure as an ``svg`` element, its ids unlike those of other figures' on the page.

    What is drawn of a series has its number in ``data-series``.
    """
    file = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r'<g id="series-(\d+)"', r'<g data-series="\1"', text)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'(href="|url\()#', rf"\1#{prefix}-", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(prefix)}" ', 1)


def _lead(summary: pd.DataFrame) -> str:
    runs, series = len(summary), summary["series"].nunique()
    seeds = summary["seed"].nunique()
    target = ", ".join(f"{value:.4g}" for value in dict.fromkeys(100 * summary["target"]))
    tasks = ", ".join(dict.fromkeys(summary["task"].astype(str)))
    metrics = ", ".join(dict.fromkeys(summary["metric"].astype(str)))
    return (
        f"{_count(runs, 'run')} in {series} series, {_count(seeds, 'seed')}; task {tasks}; "
        f"accuracy is {metrics}; target {target}%. Times are simulated, not measured."
    )


def _results_table(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
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
        known = values.notna().sum()
        return "never" if not known else f"{known} of {len(values)}"
    mean = write(values.mean())
    low, high = write(values.min()), write(values.max())
    return mean if low == high else f"{mean} ({low} to {high})"


def _runs_table(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    heads = ["run", "policy", "seed", "status", *(head for head, _ in COLUMNS.values())]
    rows = []
    for row in summary.to_dict("records"):
        cells = [
            "never" if pd.isna(row[column]) else write(row[column])
            for column, (_, write) in COLUMNS.items()
        ]
        rows.append([str(row[key]) for key in ("run", "policy", "seed", "status")] + cells)
    return heads, rows


def _settings_table(results: Results) -> tuple[list[str], list[list[str]]]:
    """Settings that all runs share."""
    settings = results.settings.drop(columns=["run", "policy"])
    shared = [key for key in settings if settings[key].astype(str).nunique() == 1]
    rows = [[str(key), in_words(settings[key].iloc[0])] for key in shared]
    return ["setting", "value"], [row for row in rows if row[1] != "none"]


def _varied_table(results: Results) -> tuple[list[str], list[list[str]]]:
    settings = results.settings.drop(columns=["run", "policy"])
    rows = []
    for key in settings:
        values = list(dict.fromkeys(in_words(value) for value in settings[key]))
        if len(values) > 1:
            rows.append([str(key), ", ".join(values)])
    return ["setting", "values"], rows


def _versions_table(results: Results) -> tuple[list[str], list[list[str]]]:
    found: dict[str, list[str]] = {}
    for run in results.runs:
        for package, version in run.summary.get("versions", {}).items():
            if version not in found.setdefault(package, []):
                found[package].append(version)
    return ["package", "version"], [[name, ", ".join(own)] for name, own in found.items()]


def _section(name: str, figure: Figure) -> str:
    title = name.replace("_", " ")
    svg = inline_svg(figure, name.replace("_", "-"))
    toggles = ""
    if 'data-series="' in svg and figure.legends:
        texts = [text.get_text().replace("\n", " ") for text in figure.legends[0].get_texts()]
        toggles = '<p class="toggles">' + " ".join(
            f'<label><input type="checkbox" checked data-toggles="{at}"> {escape(text)}</label>'
            for at, text in enumerate(texts)
        )
        toggles += "</p>"
    return f'<figure id="{name}"><h3>{escape(title)}</h3>{svg}{toggles}</figure>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f"<div><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _paragraph(text: str) -> str:
    return f'<p class="billing">{escape(text)}</p>' if text else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
