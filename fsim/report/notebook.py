"""Runs as a notebook shows them: a table and the accuracy curve, static, in one piece of HTML."""

from __future__ import annotations

import base64
from html import escape
from io import BytesIO

from fsim.figures.content import FigureImpossible
from fsim.figures.registry import FIGURES
from fsim.figures.static.figure import save
from fsim.report.page_tables import runs_table, table_html
from fsim.results.loading import Results

MOST_DRAWN = 100
"""Runs of which the curve is drawn: to read more takes longer than a cell is waited for."""

MOST_ROWS = 30
"""Runs in the table."""

CURVE = "accuracy_over_time"


def notebook_html(results: Results, table: str | None = None) -> str:
    """A piece of HTML that needs nothing else, neither network nor script.

    Parameters
    ----------
    results
        The runs.
    table
        HTML that stands above the curve; a row a run by default.
    """
    return "\n".join([table or _table(results), _curve(results)])


def _table(results: Results) -> str:
    heads, rows = runs_table(results.summary)
    if len(rows) == 1:  # one run reads better downwards
        pairs = list(zip(heads, rows[0], strict=True))
        return table_html(pairs[0], pairs[1:])
    more = len(rows) - MOST_ROWS
    note = f"<p>and {more} more</p>" if more > 0 else ""
    return table_html(heads, rows[:MOST_ROWS]) + note


def _curve(results: Results) -> str:
    if len(results.runs) > MOST_DRAWN:
        return ""
    try:
        figure = FIGURES[CURVE](results)
    except FigureImpossible:
        return ""
    image = BytesIO()
    save(figure, image, "png")
    data = base64.b64encode(image.getvalue()).decode()
    name = escape(CURVE.replace("_", " "))
    return f'<img alt="{name}" style="max-width: 100%" src="data:image/png;base64,{data}">'
