"""The commands about runs, and what there is to choose from."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsim.cli.audit import audit
from fsim.cli.fleet import fleet
from fsim.cli.inference import NAME, infer_bench
from fsim.cli.network import network
from fsim.cli.options import (
    Out,
    Overrides,
    ScenarioFile,
    StorePlace,
    console,
    cores,
    open_store,
    print_billing,
)
from fsim.cli.report import report, timeline
from fsim.cli.store import store_app
from fsim.cli.sweep import sweep
from fsim.cli.trace import trace_app
from fsim.cli.trace_generate import generate
from fsim.errors import FsimError, ScenarioError
from fsim.units import format_bytes, format_duration

if TYPE_CHECKING:
    import pandas as pd

    from fsim.simulation import Progress as RunProgress

app = typer.Typer(
    help="Federated LLM fine-tuning in simulated seconds.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(audit)
app.command()(fleet)
app.command(NAME)(infer_bench)
app.command()(network)
app.command()(report)
app.command()(timeline)
app.command()(sweep)
trace_app.command("generate")(generate)
app.add_typer(trace_app, name="trace")
app.add_typer(store_app, name="store")


def main() -> None:
    """Run the command line; an error that a user can meet is one line and an exit code."""
    try:
        app(standalone_mode=True)
    except FsimError as error:
        print(f"fsim: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("fsim: interrupted, nothing was written", file=sys.stderr)
        sys.exit(130)


@app.command()
def run(
    scenario: ScenarioFile,
    override: Overrides = None,
    out: Out = None,
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
    from fsim.scenario import load_scenario
    from fsim.trackers import make_tracker

    loaded = load_scenario(scenario, override or ())
    folder = out or Path("runs") / loaded.scenario.name
    trackers = [make_tracker(each) for each in track or ()]
    from fsim.experiments.run import run_to_folder

    label = loaded.scenario.compression.policy
    if workers is None:
        workers = cores() if loaded.scenario.training.threads == 1 else 1
    with _progress([label], loaded.scenario.protocol.rounds) as update:
        summary = run_to_folder(
            loaded,
            folder,
            label,
            lambda state: update(label, state),
            open_store(store),
            workers=workers,
            trackers=trackers,
        )
    metrics = summary["metrics"]
    table = Table(title=f"{summary['name']}: {summary['task']}, {label}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        table.add_row(name, _cell(name, value))
    console.print(table)
    _save_figures(folder)
    if summary["failure"] is not None:
        raise RunFailed(f"{summary['failure']}; what was recorded is in {folder}")
    console.print(f"Tables and figures: {folder}")


@app.command()
def compare(
    scenario: ScenarioFile,
    policies: Annotated[
        str,
        typer.Option(help="Comma-separated, each NAME or NAME:OPTION=VALUE; see `fsim policies`."),
    ],
    override: Overrides = None,
    out: Out = None,
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
    from fsim.experiments.compare import STATISTICS, parse_policies, run_name
    from fsim.experiments.compare import compare as compare_policies
    from fsim.experiments.request import parse_seeds
    from fsim.scenario import load_scenario

    loaded = load_scenario(scenario, override or ())
    choices = parse_policies(policies)
    folder = out or Path("runs") / loaded.scenario.name
    base = baseline or choices[0].label
    if jobs is None:
        jobs = cores()
    chosen = parse_seeds(seeds) if seeds is not None else []
    several: Sequence[int | None] = chosen if len(chosen) > 1 else [None]
    names = [run_name(choice.label, seed) for seed in several for choice in choices]
    with _progress(names, loaded.scenario.protocol.rounds) as update:
        table = compare_policies(
            loaded,
            choices,
            folder,
            base,
            jobs,
            update,
            open_store(store),
            seeds=chosen,
            budget=match_budget,
        )
    if match_budget is not None:
        _print_budget(folder)
    _save_figures(folder)
    target = loaded.scenario.target
    title = f"{loaded.scenario.name}: target {target.metric} {target.value:.0%}"
    if target.window > 1:
        title += f", mean of {target.window} evaluations"
    if len(several) > 1:
        _print_statistics(folder / STATISTICS, base, f"{title}, {len(several)} seeds")
    else:
        _print_comparison(table, base, title)
    failed = table.loc[table["status"] != "completed", "policy"].tolist()
    if failed:
        raise RunFailed(f"{', '.join(failed)} could not go on; see summary.json in {folder}")
    console.print(f"Tables: {folder}/*.csv and *.parquet in the folders beside them")
    console.print(f"Figures: {folder}/*.png and *.svg")


@app.command()
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


@app.command()
def reference(
    task: Annotated[str, typer.Argument(help="A task, or TASK:OPTION=VALUE:...")],
    model: Annotated[str, typer.Option(help="A base model; see `fsim models`.")] = "nano",
    steps: Annotated[int, typer.Option(help="Steps of 16 rows, all data in one place.")] = 300,
    max_prompt_tokens: Annotated[int, typer.Option(help="Prompts are shortened to this.")] = 64,
) -> None:
    """Measure what a model can do on a task before and after centralised training."""
    from fsim.choosing import parse_choice
    from fsim.learning.reference import reference as measure
    from fsim.learning.tasks import make_task

    name, options = parse_choice("TASK", task)
    try:
        made = make_task(name, options)
    except ValueError as error:
        raise ScenarioError(f"TASK: {error}") from None
    found = measure(made.load(Path), made.metrics[0], model, steps, max_prompt_tokens)
    table = Table(title=f"{task}, {model}, {found.metric}", title_justify="left", box=SIMPLE_HEAD)
    for head in ("label", "tests", "zero-shot", f"{steps} steps"):
        table.add_column(head, justify="left" if head == "label" else "right", no_wrap=True)
    for label, count, before, after in found.rows:
        table.add_row(label, str(count), f"{before:.1%}", f"{after:.1%}")
    console.print(table)
    console.print(f"Always giving the commonest answer: {found.commonest:.1%}")


@app.command()
def partition(scenario: ScenarioFile, override: Overrides = None, out: Out = None) -> None:
    """Show how a scenario divides its examples among the clients."""
    from fsim.assembly import describe_partition
    from fsim.results.figures.partition import partition_figure
    from fsim.results.output import replacing_file
    from fsim.scenario import load_scenario

    loaded = load_scenario(scenario, override or ())
    figures, counts, left_out = describe_partition(loaded)
    console.print(f"examples a client: {figures.smallest} to {figures.largest}, ", end="")
    console.print(f"median {figures.median:g}; in no shard: {left_out}")
    console.print(f"share of a client's commonest label, mean: {figures.commonest_share:.1%}")
    console.print(f"distance from the overall distribution, mean: {figures.distance:.2f}")
    folder = out or Path("runs")
    path = folder / f"{loaded.scenario.name}-partition.png"
    with replacing_file(path) as temporary:
        partition_figure(counts).savefig(temporary, dpi=150, format="png")
    console.print(f"Figure: {path}")


@app.command()
def policies() -> None:
    """List the compression policies and their options."""
    from fsim.compression import POLICIES

    for name, policy in POLICIES.items():
        _line(name, _first_sentence(policy), _options(policy))


@app.command()
def tasks() -> None:
    """List the tasks."""
    from fsim.learning.tasks import TASKS

    for name, task in TASKS.items():
        _line(name, _first_sentence(task), _options(task))


@app.command()
def models() -> None:
    """List the base models."""
    from fsim.learning.models import MODELS

    for model in MODELS.values():
        state = "present" if model.present() else f"get it with: {model.how_to_get}"
        _line(model.name, model.summary, state)
    _line("FOLDER", "any local folder with a Hugging Face causal language model")
    _line("ORGANISATION/NAME", "one in the Hugging Face cache of this machine, or on the hub")


@app.command()
def protocols() -> None:
    """List the round protocols."""
    from fsim.server.protocols import PROTOCOLS

    for protocol in PROTOCOLS.values():
        _line(protocol.name, protocol.summary)


@app.command()
def devices() -> None:
    """List the devices that clients can be."""
    from fsim.fleet import DEVICES

    for device in DEVICES.values():
        rates = f"{device.sustained_flops / 1e9:.0f} GFLOP/s sustained, {device.compute_power:g} W"
        _line(device.name, f"{rates}; {device.source}")


class RunFailed(FsimError):
    """A run that could not go on; what it recorded is kept."""

    exit_code = 1


def _line(name: str, summary: str, options: str = "") -> None:
    text = f"{name:<18} {summary}" + (f" [{options}]" if options else "")
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def _options(thing: Any) -> str:
    import dataclasses

    def told(field: dataclasses.Field[Any]) -> str:
        required = field.default is dataclasses.MISSING
        return f"{field.name} (required)" if required else f"{field.name}={field.default}"

    return ", ".join(told(field) for field in dataclasses.fields(thing) if field.init)


def _first_sentence(thing: type) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0].rstrip(".")


@contextmanager
def _progress(labels: Sequence[str], rounds: int) -> Iterator[Callable[[str, RunProgress], None]]:
    """A line for each run: rounds done, simulated time, accuracy and uplink so far."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[state]}"),
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
    from fsim.results.figures import FORMATS, save_figures
    from fsim.results.loading import load

    results = load(folder)
    print_billing(results.series)
    return save_figures(results, folder, names or None, formats or FORMATS)


def _print_comparison(table: pd.DataFrame, baseline: str, title: str) -> None:
    heads = {
        "policy": "policy",
        "time_to_target_s": "time",
        "time_to_target_ratio": "ratio",
        "uplink_bytes_to_target": "uplink",
        "uplink_to_target_ratio": "ratio",
        "rounds_to_target": "rounds",
        "energy_to_target_j": "energy",
        "mean_payload_bytes": "payload",
        "final_accuracy": "final",
    }
    caption = f"Until the target; ratios to {baseline}; -: never reached."
    shown = Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column, head in heads.items():
        shown.add_column(head, justify="left" if column == "policy" else "right", no_wrap=True)
    for row in table.to_dict("records"):
        shown.add_row(*(_cell(column, row[column]) for column in heads))
    console.print(shown)


def _print_statistics(path: Path, baseline: str, title: str) -> None:
    import pandas as pd

    metrics = {
        "time_to_target_s": "time",
        "uplink_bytes_to_target": "uplink",
        "final_accuracy": "final",
    }
    shown = Table(
        title=title,
        caption=(
            "Mean and standard deviation of the seeds that reached the target; ratios to "
            f"{baseline} and their 95% intervals, by paired bootstrap over seeds; -: never reached."
        ),
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("policy", no_wrap=True)
    for head in ("reached", *(text for name in metrics.values() for text in (name, "ratio"))):
        shown.add_column(head, justify="right")
    for policy, rows in pd.read_csv(path).groupby("policy", sort=False):
        by_metric = rows.set_index("metric")
        first = by_metric.loc["time_to_target_s"]
        cells = [f"{first['reached']:.0f} of {first['seeds']:.0f}"]
        for metric in metrics:
            row = by_metric.loc[metric]
            mean, deviation = _cell(metric, row["mean"]), _cell(metric, row["deviation"])
            cells.append(mean if deviation == "-" else f"{mean} ± {deviation}")
            ratio, low, high = (row[name] for name in ("ratio", "ratio_low", "ratio_high"))
            bounds = "" if low != low else f" [{low:.2f}, {high:.2f}]"  # NaN is not itself
            cells.append(_cell("_ratio", ratio) + bounds)
        shown.add_row(str(policy), *cells)
    console.print(shown)


def _print_budget(folder: Path) -> None:
    import pandas as pd

    from fsim.experiments.compare import BUDGET

    for row in pd.read_csv(folder / BUDGET, keep_default_na=False).to_dict("records"):
        reached = f"{format_bytes(row['payload_bytes'])} of {format_bytes(row['budget_bytes'])}"
        how = row["options"] or "no option for size, left as it is"
        _line(row["policy"], f"{how}: {reached}")


def _cell(column: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:  # a NaN is not equal to itself
        return "-"
    if column.endswith("_ratio"):
        return f"{value:.2f}"
    if column.endswith("_s"):
        return format_duration(value)
    if "bytes" in column:
        return format_bytes(value)
    if column.endswith("_j") and "energy" in column:
        return f"{value:.0f} J"
    return f"{value:.1%}" if "accuracy" in column else f"{value:d}"
