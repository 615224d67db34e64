"""The commands about tasks and their data: what can be learned, and who holds what."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from fsim.cli.options import Out, Overrides, ScenarioFile, console, print_path, within
from fsim.core.errors import ScenarioError
from fsim.core.quantities import MOST_STEPS


def reference(
    task: Annotated[str, typer.Argument(help="A task, or TASK:OPTION=VALUE:...")],
    model: Annotated[str, typer.Option(help="A base model; see `fsim models`.")] = "nano",
    steps: Annotated[int, typer.Option(help="Steps of 16 rows, all data in one place.")] = 300,
    max_prompt_tokens: Annotated[int, typer.Option(help="Prompts are shortened to this.")] = 64,
) -> None:
    """Measure what a model can do on a task before and after centralised training."""
    from fsim.core.registry import parse_choice
    from fsim.data.tasks import make_task
    from fsim.evaluation.reference import reference as measure
    from fsim.settings import find_file

    within("--steps", steps, MOST_STEPS)
    within("--max-prompt-tokens", max_prompt_tokens, 100_000)
    name, options = parse_choice("TASK", task)
    try:
        kind = make_task(name, options)
    except ValueError as error:
        raise ScenarioError(f"TASK: {error}") from None
    result = measure(
        kind.load(partial(find_file, folders=(Path(),))),
        kind.metrics[0],
        model,
        steps,
        max_prompt_tokens,
    )
    table = Table(title=f"{task}, {model}, {result.metric}", title_justify="left", box=SIMPLE_HEAD)
    for head in ("label", "tests", "zero-shot", f"{steps} steps"):
        table.add_column(head, justify="left" if head == "label" else "right", no_wrap=True)
    for label, count, before, after in result.rows:
        table.add_row(label, str(count), f"{before:.1%}", f"{after:.1%}")
    console.print(table)
    console.print(f"Always giving the commonest answer: {result.commonest:.1%}")


def partition(scenario: ScenarioFile, override: Overrides = None, out: Out = None) -> None:
    """Show how a scenario divides its examples among the clients."""
    from fsim.figures.partition import partition_figure
    from fsim.results.saving import replacing_file
    from fsim.settings.loading import load_scenario
    from fsim.simulation.build import describe_partition

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
    print_path("Figure", path)
