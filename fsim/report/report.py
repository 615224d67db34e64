"""A report of any number of runs: one HTML file, which fetches nothing."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd
from plotly.offline import get_plotlyjs

from fsim.figures.content import billing_note
from fsim.figures.drawing import contents
from fsim.figures.interactive.chart import Chart, draw
from fsim.figures.registry import FIGURES
from fsim.report.caveats import warnings_of
from fsim.report.page import PAGE
from fsim.report.page_tables import (
    models_table,
    results_table,
    runs_table,
    settings_table,
    table_html,
    varied_table,
    versions_table,
)
from fsim.results.loading import Results
from fsim.results.saving import replacing_file


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
    charts = {name: draw(content) for name, content in contents(FIGURES, results).items()}
    warnings = warnings_of(results)
    return Template(PAGE).substitute(
        title=escape(f"fsim: {names}"),
        names=escape(names),
        lead=escape(_lead(summary)),
        billing=_paragraph(billing_note(summary)),
        warnings=_list(warnings) if warnings else "<p>None.</p>",
        results=table_html(*results_table(summary)),
        runs=table_html(*runs_table(summary)),
        figures="\n".join(_chart(name, chart) for name, chart in charts.items()),
        plotly=get_plotlyjs(),
        models=table_html(*models_table(results)),
        settings=table_html(*settings_table(results)),
        varied=table_html(*varied_table(results)),
        versions=table_html(*versions_table(results)),
        command=escape("\n".join(commands(results))),
        scenario=escape(results.runs[0].scenario),
    )


def commands(results: Results) -> list[str]:
    """Commands that run each of the runs again; its ``scenario.yaml`` has every default."""
    return [
        shlex.join(["fsim", "run", str(run.folder / "scenario.yaml"), "--out", f"again/{name}"])
        for name, run in zip(results.names, results.runs, strict=True)
    ]


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


def _chart(name: str, chart: Chart) -> str:
    """A place for a chart, its data, and what has to be known of it."""
    # The data stands between tags, which nothing in it may close.
    data = (chart.figure.to_json() or "").replace("<", "\\u003c")
    wide = ' class="wide"' if chart.wide else ""
    notes = [chart.content.subject, billing_note(chart.content.summary), *chart.content.remarks]
    caption = escape("; ".join(note for note in notes if note))
    heading = escape(chart.content.heading)
    return (
        f'<figure id="{name}"><h3>{heading}</h3>\n'
        f'<div><div{wide} data-chart="{name}" role="img" aria-label="{heading}"></div></div>\n'
        f'<script type="application/json">{data}</script>\n'
        f"<figcaption>{caption}.</figcaption></figure>"
    )


def _list(items: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def _paragraph(text: str) -> str:
    return f'<p class="billing">{escape(text)}</p>' if text else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("s" if number != 1 else "")
