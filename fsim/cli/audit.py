"""``fsim audit``: the paper's figures beside what they imply and what was measured here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fsim.cli.options import console, print_path

if TYPE_CHECKING:
    from fsim.audit.measured import Measurement
    from fsim.audit.presentation import Grid

_STYLES = (("contradictory", "red"), ("✗", "red"), ("consistent", "green"), ("✓", "green"))


def audit(
    json_: Annotated[
        bool, typer.Option("--json", help="Print all figures as JSON instead of tables.")
    ] = False,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Markdown document.")
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Finished runs of scenarios/fed_fstq, or a file that --measured wrote; what was "
            "measured for this version by default.",
        ),
    ] = None,
    measured: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep what the runs measured, for --runs to read: of their experiments it takes "
            "the place of what the file has, all others stay.",
        ),
    ] = None,
) -> None:
    """Set the Fed-FSTQ paper's figures beside what they imply, and what was measured here."""
    from fsim.audit.measured import MEASURED_FILE, put_in_place, read_measured, write_measured
    from fsim.audit.presentation import to_data, to_markdown
    from fsim.results.saving import replacing_file

    measurements = read_measured(runs or MEASURED_FILE)
    if measured is not None:
        if measured.exists():
            measurements = put_in_place(read_measured(measured), measurements)
        write_measured(measured, measurements)
    if markdown is not None:
        with replacing_file(markdown) as temporary:
            temporary.write_text(to_markdown(measurements), encoding="utf-8")
    if json_:
        typer.echo(json.dumps(to_data(measurements), indent=2, ensure_ascii=False))
        return
    paths = [path for path in (markdown, measured) if path is not None]
    if not paths:
        _print_all(measurements)
    for path in paths:
        print_path("Written", path)


def _print_all(measurements: list[Measurement]) -> None:
    from fsim.audit import presentation

    console.print(presentation.INTRODUCTION, highlight=False)
    console.print(presentation.LEGEND, highlight=False)
    for section in presentation.sections(measurements):
        console.print()
        console.print(Text(section.experiment.title, style="bold"))
        for grid in (*section.published, *section.measured):
            console.print(_table(grid))
            if grid.note:
                console.print(grid.note, highlight=False)
        console.print(presentation.source_of(section.experiment), highlight=False, soft_wrap=True)
        if not section.measured and section.experiment.simulated:
            console.print(presentation.NOTHING_MEASURED, highlight=False)
    console.print()
    claimed = presentation.claims_grid(measurements)
    console.print(Text(claimed.title, style="bold"))
    console.print(_table(claimed))
    console.print(claimed.note, highlight=False)
    console.print()
    cross = presentation.cross_grid()
    console.print(Text(cross.title, style="bold"))
    console.print(_table(_numbered(cross)))
    for number, row in enumerate(cross.rows, 1):
        console.print(f"{number}. {row[-1]}", highlight=False)
    console.print(cross.note, highlight=False)


def _numbered(grid: Grid) -> Grid:
    """Without its last column, which is too long for a terminal, and with numbers to find it by."""
    rows = (("", *grid.heads), *((str(at), *row) for at, row in enumerate(grid.rows, 1)))
    heads, *body = (row[:-1] for row in rows)
    return replace(grid, heads=heads, rows=tuple(body))


def _table(grid: Grid) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in grid.heads:
        table.add_column(head, overflow="fold", no_wrap=head == "method")
    for row in grid.rows:
        table.add_row(*(_styled(cell) for cell in row))
    return table


def _styled(cell: str) -> Text:
    for part, style in _STYLES:
        if part in cell and len(cell) < 40:
            return Text(cell, style=style)
    return Text(cell)
