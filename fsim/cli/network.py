"""``fsim network``: when uploads that share a link have finished."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsim.cli.options import console
from fsim.core.errors import TransferNeverEnds
from fsim.core.units import format_bytes

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fsim.network.sharing.spec import Uploads


def network(
    spec: Annotated[Path, typer.Argument(help="JSON or YAML: flows and the link that they share.")],
    as_json: Annotated[
        bool, typer.Option("--json", help='Print {"finish_s": [...]} and nothing else.')
    ] = False,
) -> None:
    """Tell when each of a set of uploads over a shared link finishes."""
    from fsim.network.sharing.spec import load_uploads
    from fsim.network.sharing.uploads import finish_times

    uploads = load_uploads(spec)
    try:
        finish = finish_times(uploads.flows, uploads.links)
    except TransferNeverEnds as error:
        raise TransferNeverEnds(f"{spec}: {error}") from None
    _check_all_finish(spec, uploads, finish)
    if as_json:
        typer.echo(json.dumps({"finish_s": finish.tolist()}))
    else:
        console.print(_table(uploads, finish))


def _check_all_finish(spec: Path, uploads: Uploads, finish: npt.NDArray[np.float64]) -> None:
    never = [number for number, time in enumerate(finish) if math.isinf(time)]
    if never:
        flow = uploads.flows[never[0]]
        others = f" (flows that never finish: {len(never)})" if len(never) > 1 else ""
        raise TransferNeverEnds(
            f"{spec}: flows.{never[0]}: {flow.size:.0f} bytes sent at {flow.start:g} s never "
            f"arrive{others}: its own link and the shared one never again have capacity together"
        )


def _table(uploads: Uploads, finish: npt.NDArray[np.float64]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("flow", "start s", "size", "finish s", "duration s"):
        table.add_column(heading, justify="right", no_wrap=True)
    for number, (flow, time) in enumerate(zip(uploads.flows, finish, strict=True)):
        duration = time - flow.start
        row = (f"{flow.start:.3f}", format_bytes(flow.size), f"{time:.6f}", f"{duration:.6f}")
        table.add_row(str(number), *row)
    return table
