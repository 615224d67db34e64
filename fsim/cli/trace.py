"""``fsim trace``: look at traces of capacity, turn one format into another, time a transfer."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fsim.cli import lists
from fsim.cli.options import console, print_path
from fsim.core.errors import OutputError, ScenarioError, TraceError
from fsim.core.units import format_duration

if TYPE_CHECKING:
    from fsim.network import Transport
    from fsim.network.formats import Pieces

LONGEST_PLOT = 1e7
"""Seconds that a figure shows."""

trace_app = typer.Typer(help="Traces of capacity over time.", no_args_is_help=True)
trace_app.command("formats")(lists.command(lists.FORMATS))

TraceFile = Annotated[Path, typer.Argument(metavar="FILE", help="A trace file.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME:OPTION=VALUE",
        help="The file's format, if its name or beginning does not tell; see `fsim trace formats`.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@trace_app.command("info")
def trace_info(file: TraceFile, format_: Format = None, as_json: Json = False) -> None:
    """Say what a trace holds: duration, rates over 1 s, outages."""
    from fsim.network.formats.trace_statistics import statistics

    try:
        figures = statistics(_read(file, format_, "--format"))
    except TraceError as error:
        raise _with_file(file, error) from None
    if as_json:
        typer.echo(json.dumps({"file": str(file), **dataclasses.asdict(figures)}))
        return
    lines = {
        "pieces": str(figures.pieces),
        "duration": format_duration(figures.duration_s),
        "mean": f"{figures.mean_mbit_s:.3g} Mbit/s",
        "p5, p50, p95 over 1 s": f"{figures.p5_mbit_s:.3g}, {figures.p50_mbit_s:.3g}, "
        f"{figures.p95_mbit_s:.3g} Mbit/s",
        "outages over 1 s": str(figures.outages),
        "longest time at zero": f"{figures.longest_outage_s:.3g} s",
        "share of time at zero": f"{figures.zero_share:.1%}",
    }
    for name, value in lines.items():
        console.print(f"{name:<23} {value}", highlight=False)


@trace_app.command("plot")
def trace_plot(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Trace files.")],
    out: Annotated[Path, typer.Option("--out", help="The figure, .png or .svg.")],
    format_: Format = None,
) -> None:
    """Draw traces over time, with the distribution of their rates."""
    import matplotlib as mpl

    from fsim.figures.static.style import STYLE
    from fsim.figures.traces import trace_figure
    from fsim.results.saving import replacing_file

    kind = out.suffix.removeprefix(".")
    if kind not in ("png", "svg"):
        raise OutputError(f"{out}: found a figure ending in {out.suffix!r}, allowed are .png, .svg")
    if len(files) > 12:
        raise ScenarioError(f"found {len(files)} files, allowed are 12 in one figure")
    traces = {_label(file, files): _read(file, format_, "--format") for file in files}
    for name, (_, _, duration) in traces.items():
        if duration > LONGEST_PLOT:
            raise TraceError(f"{name}: found {duration:g} s, allowed are {LONGEST_PLOT:g} s")
    # No date in the file: the same traces draw the same bytes.
    metadata = {"Date": None} if kind == "svg" else None
    with replacing_file(out) as temporary, mpl.rc_context(STYLE):
        trace_figure(traces).savefig(temporary, dpi=150, format=kind, metadata=metadata)
    print_path("Figure", out)


@trace_app.command("convert")
def trace_convert(
    file: TraceFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The file to write.")],
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME:OPTION=VALUE", help="The format of FILE."),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME:OPTION=VALUE", help="The format of OUT; by its suffix."),
    ] = None,
) -> None:
    """Write a trace in another format."""
    from fsim.core.registry import parse_choice
    from fsim.network.formats import FORMATS, write_trace
    from fsim.network.formats.detect import format_of_suffix
    from fsim.results.saving import replacing_file

    pieces = _read(file, source, "--from")
    name, options = parse_choice("--to", target) if target else (format_of_suffix(out, FORMATS), {})
    with replacing_file(out) as temporary:
        try:
            write_trace(pieces, temporary, name, **options)
        except TraceError as error:
            raise TraceError(str(error).replace(str(temporary), str(out))) from None
    print_path(name, out)


@trace_app.command("transfer")
def trace_transfer(
    file: TraceFile,
    size: Annotated[str, typer.Option("--bytes", help="Payload: bytes, or as 5 MB.")],
    start: Annotated[float, typer.Option(help="Second at which it is asked for.")] = 0.0,
    past_end: Annotated[
        Literal["loop", "hold", "error"], typer.Option(help="What follows the trace's end.")
    ] = "loop",
    offset: Annotated[float, typer.Option(help="Second of the trace at which time 0 lies.")] = 0.0,
    transport: Annotated[
        str,
        typer.Option(
            metavar="NAME:OPTION=VALUE", help="fluid (bytes over capacity, nothing else), tcp, ..."
        ),
    ] = "fluid",
    round_trip: Annotated[
        str, typer.Option(help="Round trip without queueing; fluid has none.")
    ] = "50 ms",
    format_: Format = None,
    as_json: Json = False,
) -> None:
    """Say when a transfer over a trace ends."""
    from fsim.core.units import parse_quantity
    from fsim.network.links.capacity import Capacity

    if not 0 <= start < math.inf:
        raise ScenarioError(f"--start: found {start:g}, allowed is a number of seconds, 0 or more")
    try:
        latency = parse_quantity(round_trip, "duration")
    except ValueError as error:
        raise ScenarioError(f"--round-trip: {error}") from None
    payload = _payload(size)
    starts, rates, duration = _read(file, format_, "--format")
    capacity = Capacity(starts, rates, duration, past_end, offset)
    finish = _transport(transport).finish_time(capacity, payload, start, latency)
    if as_json:
        result = {"file": str(file), "bytes": payload, "start_s": start, "finish_s": finish}
        typer.echo(json.dumps({**result, "duration_s": finish - start, "transport": transport}))
        return
    console.print(
        f"{payload} bytes asked for at {start:g} s have arrived at {finish:.6g} s, "
        f"after {finish - start:.6g} s",
        highlight=False,
        soft_wrap=True,
    )


def _read(file: Path, choice: str | None, argument: str) -> Pieces:
    from fsim.core.registry import parse_choice
    from fsim.network.formats import read_trace

    name, options = parse_choice(argument, choice) if choice else (None, {})
    return read_trace(file, name, **options)


def _payload(text: str) -> int:
    from fsim.core.units import parse_quantity

    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        return round(parse_quantity(text, "size"))
    except ValueError as error:
        raise ScenarioError(f"--bytes: {error}, or a whole number of bytes") from None


def _transport(text: str) -> Transport:
    from fsim.core.registry import parse_choice
    from fsim.network.transports.transports import make_transport

    try:
        return make_transport(*parse_choice("--transport", text))
    except ValueError as error:
        raise ScenarioError(f"--transport: {error}") from None


def _label(file: Path, files: list[Path]) -> str:
    """A file's name, with its folder where two have the same name."""
    names = [other.name for other in files]
    return file.name if names.count(file.name) == 1 else str(file)


def _with_file(file: Path, error: TraceError) -> TraceError:
    return error if str(file) in str(error) else TraceError(f"{file}: {error}")
