"""The commands that run a scenario, and draw what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from fsim.cli.comparison import cell, print_budget, print_comparison, print_statistics
from fsim.cli.options import (
    MOST_PROCESSES,
    Out,
    Overrides,
    Overwrite,
    ScenarioFile,
    StorePlace,
    console,
    cores,
    out_option,
    print_billing,
    print_path,
    within,
)
from fsim.core.errors import FsimError
from fsim.core.units import format_bytes, format_duration
from fsim.store import as_store

if TYPE_CHECKING:
    from fsim.simulation.run import Progress as RunProgress


class RunFailed(FsimError):
    """A run that could not go on; what it recorded is kept."""

    exit_code = 1


def run(
    scenario: ScenarioFile,
    override: Overrides = None,
    out: Out = None,
    overwrite: Overwrite = False,
    store: StorePlace = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that share the training; one a core by default."),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME:PLACE",
            help="Tell a tracker, may be repeated: tensorboard, mlflow or wandb; runs/NAME by "
            "default.",
        ),
    ] = None,
) -> None:
    """Run a scenario and write its results."""
    from fsim.settings.loading import load_scenario
    from fsim.trackers import make_tracker

    loaded = load_scenario(scenario, override or ())
    folder = Path("runs") / loaded.scenario.name if out is None else out
    trackers = [make_tracker(each) for each in track or ()]
    from fsim.experiments.run import run_to_folder

    label = loaded.scenario.compression.policy
    if workers is None:
        workers = cores() if loaded.scenario.training.threads == 1 else 1
    within("--workers", workers, MOST_PROCESSES)
    with _progress([label], loaded.scenario.protocol.rounds) as update:
        summary = run_to_folder(
            loaded,
            folder,
            label,
            lambda state: update(label, state),
            as_store(store),
            workers=workers,
            trackers=trackers,
            overwrite=overwrite,
        )
    metrics = summary["metrics"]
    table = Table(title=f"{summary['name']}: {summary['task']}, {label}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, cell(name, value))
    console.print(table)
    if nothing := summary["facts"].get("nothing_entered"):
        console.print(f"No update entered the global adapter: {nothing}", markup=False)
    _save_figures(folder)
    if summary["failure"] is not None:
        raise RunFailed(f"{summary['failure']}; what was recorded is in {folder}")
    print_path("Tables and figures", folder)


def compare(
    scenario: ScenarioFile,
    policies: Annotated[
        str,
        typer.Option(help="Comma-separated, each NAME or NAME:OPTION=VALUE; see `fsim policies`."),
    ],
    override: Overrides = None,
    out: Annotated[Path | None, out_option("runs/NAME-comparison")] = None,
    overwrite: Overwrite = False,
    baseline: Annotated[
        str | None, typer.Option(help="What ratios are taken to; the first policy by default.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Policies run at a time; one a core by default.")
    ] = None,
    store: StorePlace = None,
    seeds: Annotated[
        str | None, typer.Option(help="As 0,1,2; every policy is run under each of them.")
    ] = None,
    match_budget: Annotated[
        int | None,
        typer.Option(help="Bytes of a mean payload that each policy's size is tuned to."),
    ] = None,
) -> None:
    """Run a scenario under several policies and compare them."""
    from fsim.experiments.compare import compare as compare_policies
    from fsim.experiments.compare import comparison_folder, run_name
    from fsim.experiments.policies import as_policies
    from fsim.experiments.sweep_spec import parse_seeds
    from fsim.results.manifest import STATISTICS
    from fsim.settings.loading import load_scenario

    loaded = load_scenario(scenario, override or ())
    choices = as_policies(policies)
    folder = comparison_folder(loaded) if out is None else out
    base = baseline or choices[0].label
    jobs = within("--jobs", cores() if jobs is None else jobs, MOST_PROCESSES)
    if match_budget is not None:
        within("--match-budget", match_budget, 10**15)
    numbers = parse_seeds(seeds) if seeds is not None else []
    several: Sequence[int | None] = numbers if len(numbers) > 1 else [None]
    names = [run_name(choice.label, seed) for seed in several for choice in choices]
    with _progress(names, loaded.scenario.protocol.rounds) as update:
        table = compare_policies(
            loaded,
            choices,
            folder,
            base,
            jobs,
            update,
            store,
            seeds=numbers,
            match_budget=match_budget,
            overwrite=overwrite,
        )
    if match_budget is not None:
        print_budget(folder)
    _save_figures(folder)
    target = loaded.scenario.target
    title = f"{loaded.scenario.name}: target {target.metric} {target.value:.0%}"
    if target.window > 1:
        title += f", mean of {target.window} evaluations"
    if len(several) > 1:
        print_statistics(folder / STATISTICS, base, f"{title}, {len(several)} seeds")
    else:
        print_comparison(table, base, title)
    failed = table.loc[table["status"] != "completed", "policy"].tolist()
    if failed:
        raise RunFailed(f"{', '.join(failed)} could not go on; see summary.json in {folder}")
    print_path("Tables", f"{folder}/*.csv and *.parquet in the folders beside them")
    print_path("Figures", f"{folder}/*.png and *.svg")


def plot(
    folder: Annotated[Path, typer.Argument(help="A folder of results.")],
    figure: Annotated[
        list[str] | None,
        typer.Option(help="One figure by name, may be repeated; the usual ones by default."),
    ] = None,
    format_: Annotated[
        list[str] | None,
        typer.Option("--format", help="png or svg, may be repeated; both by default."),
    ] = None,
) -> None:
    """Draw the figures of a run, a comparison or a sweep again."""
    for path in _save_figures(folder, figure, format_):
        console.print(str(path), soft_wrap=True, highlight=False)


@contextmanager
def _progress(labels: Sequence[str], rounds: int) -> Iterator[Callable[[str, RunProgress], None]]:
    """A line for each run: rounds done, simulated time, accuracy and uplink so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}", markup=False),
    )
    with Progress(*columns, console=console) as progress:
        lines = {
            label: progress.add_task(label, total=rounds, state="starting") for label in labels
        }

        def update(label: str, state: RunProgress) -> None:
            text = (
                f"{format_duration(state.simulated_s)} simulated, "
                f"accuracy {state.accuracy:.1%}, uplink {format_bytes(state.uplink_bytes)}"
            )
            progress.update(lines[label], completed=state.round_number, state=text)

        yield update


def _save_figures(
    folder: Path, names: Sequence[str] | None = None, formats: Sequence[str] | None = None
) -> list[Path]:
    from fsim.figures.registry import FORMATS, save_figures
    from fsim.results.loading import load
    from fsim.results.manifest import adopt

    results = load(folder)
    print_billing(results.series)
    adopt(folder)
    return save_figures(results, folder, names or None, formats or FORMATS)
