"""``fsim sweep``: a scenario under every combination of values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from fsim.cli.options import (
    MOST_PROCESSES,
    Overrides,
    Overwrite,
    StorePlace,
    console,
    cores,
    out_option,
    plain_table,
    print_path,
    within,
)
from fsim.core.errors import FsimError
from fsim.core.units import format_bytes, format_duration
from fsim.store import as_store

if TYPE_CHECKING:
    import pandas as pd

    from fsim.experiments.sweep import SweepProgress


class CellsFailed(FsimError):
    """A sweep in which some cells failed; all others are finished."""

    exit_code = 1


def sweep(
    scenario: Annotated[Path, typer.Argument(help="A scenario file, or a sweep file.")],
    over: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2",
            help="A key by its dotted path and its values; a pattern stands for its files.",
        ),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Values of the key seed, as 0,1,2.")] = None,
    override: Overrides = None,
    engine: Annotated[str, typer.Option(help="Where cells run: local or ray.")] = "local",
    jobs: Annotated[
        int | None, typer.Option(help="Cells at a time; one a core by default.")
    ] = None,
    ray_address: Annotated[
        str | None, typer.Option(help="Of a running Ray cluster; one of its own by default.")
    ] = None,
    out: Annotated[Path | None, out_option("runs/NAME-sweep")] = None,
    overwrite: Overwrite = False,
    store: StorePlace = None,
) -> None:
    """Run a scenario under every combination of values; run again, it goes on where it was."""
    from fsim.experiments.engines.registry import make_engine
    from fsim.experiments.sweep import run_sweep, sweep_folder
    from fsim.experiments.sweep_spec import SweepSpec, parse_seeds
    from fsim.results.manifest import TABLE

    numbers = parse_seeds(seeds) if seeds is not None else []
    request = SweepSpec.read(scenario, over or (), numbers, override or ())
    cells = request.cells()
    folder = sweep_folder(cells) if out is None else out
    jobs = within("--jobs", cores() if jobs is None else jobs, MOST_PROCESSES)
    try:
        with _progress(len(cells)) as update:
            table = run_sweep(
                request,
                cells,
                lambda: make_engine(engine, min(jobs, len(cells)), ray_address),
                folder,
                as_store(store),
                update,
                overwrite=overwrite,
            )
    except KeyboardInterrupt:
        typer.echo("fsim: interrupted; the same command goes on where it was", err=True)
        raise typer.Exit(130) from None
    console.print(_table(table, [axis.key for axis in request.axes]))
    trained, reused = table["jobs_trained"].sum(), table["jobs_reused"].sum()
    console.print(f"Training jobs: {trained} trained, {reused} reused from the store")
    if any(cell.loaded.scenario.billing.scales for cell in cells):
        console.print("Billed as a larger model's: the factors are in each cell's summary.json")
    print_path("Table", f"{folder / TABLE}; a folder for each cell beside it")
    failed = table[table["status"] != "completed"]
    for row in failed.to_dict("records"):
        console.print(f"failed: {row['cell']}: {row['error']}", soft_wrap=True)
    if len(failed):
        raise CellsFailed(
            f"{len(failed)} of {len(table)} cells failed; the same command runs these again"
        )


@contextmanager
def _progress(cells: int) -> Iterator[Callable[[SweepProgress], None]]:
    """A line for the sweep: cells ended, and what happened last."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("cells"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        line = progress.add_task("starting", total=cells)

        def update(state: SweepProgress) -> None:
            text = f"{state.failed} failed; " if state.failed else ""
            text += f"{state.cell}: {state.state}"
            if state.run is not None:
                text += f", round {state.run.round_number} of {state.run.rounds}"
            progress.update(line, completed=state.finished, description=text)

        yield update


def _table(table: pd.DataFrame, keys: Sequence[str]) -> Table:
    heads: dict[str, tuple[str, Callable[[Any], str]]] = {
        "time_to_target_s": ("time", format_duration),
        "uplink_bytes_to_target": ("uplink", format_bytes),
        "final_accuracy": ("final", lambda value: f"{value:.1%}"),
    }
    grid = plain_table(f"{len(table)} cells", "Time and uplink until the target; -: never reached.")
    for key in keys:
        grid.add_column(key.rpartition(".")[2], overflow="fold")
    grid.add_column("status", no_wrap=True)
    for head, _ in heads.values():
        grid.add_column(head, justify="right", no_wrap=True)
    for row in table.to_dict("records"):
        figures = [
            "-" if (value := row.get(column)) is None or value != value else text(value)
            for column, (_, text) in heads.items()
        ]
        grid.add_row(*(str(row[key]) for key in keys), row["status"], *figures)
    return grid
