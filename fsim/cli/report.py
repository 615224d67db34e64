"""``fsim report`` and ``fsim timeline``: results for others to read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fsim.cli.options import print_path
from fsim.core.errors import OutputError

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of results.")]


def report(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("--out", help="The HTML file; DIR/report.html by default.")
    ] = None,
) -> None:
    """Write a report of a run, a comparison or a sweep: one HTML file that needs no network."""
    from fsim.report.report import write_report
    from fsim.results.loading import load
    from fsim.results.manifest import REPORT, adopt

    results = load(folder)
    if out is None:
        adopt(folder)
    path = folder / REPORT if out is None else out
    write_report(results, path)
    print_path("Report", path)


def timeline(
    folder: Folder,
    run: Annotated[
        str | None, typer.Option("--run", help="Which run, where the folder holds several.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="One file, NAME.pftrace or NAME.json; both, timeline.*, in the run's folder by "
            "default.",
        ),
    ] = None,
) -> None:
    """Write a run's time line: .pftrace for Perfetto, .json for Speedscope or Chrome."""
    from fsim.report.perfetto import write_perfetto
    from fsim.report.timeline import write_timeline
    from fsim.results.loading import load
    from fsim.results.manifest import TIMELINES, adopt

    writers = {".pftrace": write_perfetto, ".json": write_timeline}
    if out is not None and out.suffix not in writers:
        raise OutputError(f"--out: found {out.name}, allowed are {' and '.join(writers)} files")
    results = load(folder)
    if run is None and len(results.runs) > 1:
        count, names = len(results.runs), _some(results.names)
        raise OutputError(f"{folder}: found {count} runs, choose one by --run: {names}")
    if run is not None and run not in results.names:
        raise OutputError(f"--run: found {run!r}, allowed are {_some(results.names)}")
    selection = results.runs[0 if run is None else results.names.index(run)]
    if out is None:
        adopt(selection.folder)
    paths = [selection.folder / name for name in TIMELINES] if out is None else [out]
    for path in paths:
        write = writers[path.suffix]
        events = write(selection.records, selection.evaluations, path, selection.label)
        print_path(f"Time line of {events:,} events", path)


def _some(names: list[str], most: int = 12) -> str:
    """Names in one line, which stays one where there are a thousand."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
