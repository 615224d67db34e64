"""``fsim infer-bench``: what shortening prompts after a layer gains and costs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fsim.cli.options import StorePlace, console, plain_table, print_path, within
from fsim.core.errors import InferenceError, ScenarioError
from fsim.core.quantities import LARGEST_SEED
from fsim.core.units import format_bytes
from fsim.store import as_store

if TYPE_CHECKING:
    from fsim.inference.bench import Measurement
    from fsim.inference.token_choice import Keep

NAME = "infer-bench"
RECALLED = 32
"""Test prompts at most whose token sensitivities are recorded."""


MOST_COUNTED = 100_000
"""Of steps, tokens, prompts and whatever else is counted."""


def infer_bench(
    model: Annotated[
        str | None,
        typer.Option(help="A base model; smollm2-135m where present, else nano, by default."),
    ] = None,
    adapter: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="An adapter that peft saved, trained for such prompts; trained here by default.",
        ),
    ] = None,
    task: Annotated[str, typer.Option(help="A task, or TASK:OPTION=VALUE:...")] = "medical",
    methods: Annotated[
        str, typer.Option(help="Comma-separated.")
    ] = "fisher-head,fisher-table,attention,random",
    keep: Annotated[
        str, typer.Option(help="Ratios of the tokens that stay, comma-separated; may be empty.")
    ] = "0.2,0.3,0.4",
    budget: Annotated[str, typer.Option(help="Numbers of tokens that stay, comma-separated.")] = "",
    mass: Annotated[
        str, typer.Option(help="Thresholds: shares of the saliency that stays, comma-separated.")
    ] = "",
    last: Annotated[int, typer.Option(help="Tokens at the end that always stay.")] = 8,
    layer: Annotated[
        int | None, typer.Option(help="Layers that read all tokens; a sixth of them by default.")
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Length of a prompt.")] = 512,
    examples: Annotated[int, typer.Option(help="Test prompts that accuracy is taken of.")] = 200,
    new_tokens: Annotated[int, typer.Option(help="Length of an answer that is timed.")] = 8,
    repetitions: Annotated[int, typer.Option(help="Turns that every side takes, timed.")] = 10,
    steps: Annotated[int, typer.Option(help="Training steps of an adapter.")] = 100,
    batch_size: Annotated[int, typer.Option(help="Prompts of a training step.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="Of training.")] = 1e-3,
    saliency_prompts: Annotated[
        int, typer.Option(help="Training prompts that saliency is learned from.")
    ] = 128,
    window: Annotated[
        int, typer.Option(help="Tokens that saliencies are means over, an odd number.")
    ] = 61,
    adapt_steps: Annotated[
        int,
        typer.Option(
            help="Further training steps, of the layers after, in which every other prompt is "
            "shortened."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
    threads: Annotated[int, typer.Option(help="Of PyTorch.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:N or auto.")] = "cpu",
    json_: Annotated[
        bool, typer.Option("--json", help="Print all figures as JSON instead of a table.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for table and figure; runs/infer-bench by default.")
    ] = None,
    store: StorePlace = None,
) -> None:
    """Measure what shortening prompts gains and costs at inference.

    Trains an adapter on long prompts (the passage that is asked about among unrelated ones), learns
    which of their tokens matter, and answers held-out prompts with and without shortening.
    """
    import torch

    from fsim.core.registry import parse_choice
    from fsim.data.tasks import make_task
    from fsim.inference.adaptation import Adaptation
    from fsim.inference.bench import Plan, measure
    from fsim.inference.preparation import Preparation, prepare
    from fsim.model.loading import MODELS
    from fsim.settings import find_file

    _check_counts(
        prompt_tokens=prompt_tokens, examples=examples, new_tokens=new_tokens, steps=steps,
        repetitions=repetitions, batch_size=batch_size, saliency_prompts=saliency_prompts,
        window=window, threads=threads,
    )  # fmt: skip
    # Fewer than none are refused where the steps are settled.
    within("--adapt-steps", max(adapt_steps, 0), MOST_COUNTED, 0)
    within("--seed", seed, LARGEST_SEED, 0)
    rules = _rules(keep, budget, mass, last)
    if not rules:
        raise InferenceError("keep: found no ratio, budget or mass, allowed is one or more")
    plan = Plan(
        _parts(methods), rules, new_tokens, repetitions, min(RECALLED, examples), window, seed
    )
    for _, rule in rules:
        rule.count(prompt_tokens)  # most prompts are about as long: refused before any training
    if model is None:
        model = "smollm2-135m" if MODELS["smollm2-135m"].present() else "nano"
    name, options = parse_choice("--task", task)
    try:
        data = make_task(name, options).load(partial(find_file, folders=(Path(),)))
    except ValueError as error:
        raise ScenarioError(f"--task: {error}") from None
    torch.set_num_threads(threads)
    settings = Preparation(
        model, adapter, layer, prompt_tokens, steps, batch_size, learning_rate, saliency_prompts,
        window, seed, device, Adaptation(steps=adapt_steps, last=last),
    )  # fmt: skip
    stderr = Console(stderr=True, markup=False, emoji=False)
    place = as_store(store)
    prepared = prepare(settings, data, place, lambda line: stderr.print(line, highlight=False))
    # Every so many, so that a part of the test examples is a part of each label.
    step = max(1, len(data.test) // examples)
    tests = prepared.writer.tests(data.test[::step][:examples])
    rows = prepared.writer.encode(tests)
    with _progress(stderr, {"answers": len(rows), "turns": repetitions + 1}) as advance:
        measurements = measure(prepared, rows, plan, advance)
    if place is not None:
        place.tidy()
    facts = {
        "model": model,
        "task": task,
        "layer": prepared.layer,
        "layers": prepared.layers,
        "prompt_tokens": prompt_tokens,
        "prompt_tokens_mean": sum(len(row.ids) - row.scored for row in rows) / len(rows),
        "new_tokens": new_tokens,
        "examples": len(rows),
        "repetitions": repetitions,
        "adapter": "trained" if adapter is None else str(adapter),
        "training_steps": steps if adapter is None else None,
        "batch_size": batch_size if adapter is None else None,
        "learning_rate": learning_rate if adapter is None else None,
        "saliency_prompts": saliency_prompts,
        "window": window,
        "adapt_steps": adapt_steps,
        "from_store": list(prepared.reused),
        "always_kept": {"first": 1, "last": last},
        "seed": seed,
        "threads": threads,
        "device": device,
        "prompt_s": measurements[0].prompt_s,
        "answer_s": measurements[0].answer_s,
        "cache_bytes": measurements[0].cache_bytes,
    }
    folder = out or Path("runs") / NAME
    paths = _write(folder, measurements, facts)
    if json_:
        typer.echo(json.dumps(_data(measurements, facts), indent=2))
        return
    console.print(_table(measurements, facts))
    for line in _sentences(facts):
        console.print(line, highlight=False)
    for path in paths:
        print_path("Written", path)


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise InferenceError(f"{name.replace('_', ' ')}: found {value}, allowed is 1 or more")
        within(f"--{name.replace('_', '-')}", value, MOST_COUNTED)


def _rules(keep: str, budget: str, mass: str, last: int) -> list[tuple[str, Keep]]:
    from fsim.inference.token_choice import Keep

    ratios = [
        (each, Keep(ratio=_number("--keep", each, float), last=last)) for each in _parts(keep)
    ]
    budgets = [
        (f"{each} tokens", Keep(budget=_number("--budget", each, int), last=last))
        for each in _parts(budget)
    ]
    masses = [
        (f"mass {each}", Keep(mass=_number("--mass", each, float), last=last))
        for each in _parts(mass)
    ]
    return [*ratios, *budgets, *masses]


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(option: str, text: str, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InferenceError(f"{option}: found {text!r}, allowed are numbers and commas") from None


@contextmanager
def _progress(console: Console, counts: dict[str, int]) -> Iterator[Callable[[str], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
    )
    with Progress(*columns, console=console) as progress:
        lines = {name: progress.add_task(name, total=count) for name, count in counts.items()}
        yield lambda what: progress.advance(lines[what])


def _data(measurements: Sequence[Measurement], facts: dict[str, Any]) -> dict[str, Any]:
    return {"facts": facts, "measured": [asdict(each) for each in measurements]}


def _write(folder: Path, measurements: Sequence[Measurement], facts: dict[str, Any]) -> list[Path]:
    import pandas as pd

    from fsim.figures.inference import shortening
    from fsim.results.saving import replacing_file

    table = pd.DataFrame([asdict(each) for each in measurements])
    figure = shortening(
        table,
        f"Prompts shortened after layer {facts['layer']} of {facts['layers']}\n{facts['model']}, "
        f"{facts['task']}",
        " ".join(_sentences(facts)[:2]),
    )
    paths = [folder / f"{NAME}.{ending}" for ending in ("json", "csv", "png", "svg")]
    for path in paths:
        with replacing_file(path) as temporary:
            if path.suffix == ".json":
                temporary.write_text(
                    json.dumps(_data(measurements, facts), indent=2) + "\n", "utf-8"
                )
            elif path.suffix == ".csv":
                table.to_csv(temporary, index=False)
            else:
                figure.savefig(temporary, dpi=150, format=path.suffix[1:])
    return paths


def _sentences(facts: dict[str, Any]) -> list[str]:
    """Sentences on the preparation and the measurement, one or two a line."""
    stored = ", ".join(facts["from_store"]) or "nothing"
    trained = f"Adapter: {facts['adapter']}."
    if facts["training_steps"] is not None:
        trained = (
            f"Adapter: {facts['training_steps']} steps of {facts['batch_size']} prompts, AdamW at "
            f"{facts['learning_rate']:g}."
        )
    adapted = ""
    if facts["adapt_steps"]:
        adapted = f"Used to shortened prompts by {facts['adapt_steps']} further steps. "
    return [
        f"Prompts of {facts['prompt_tokens_mean']:.0f} tokens (mean): the passage that is asked "
        f"about among unrelated ones. Accuracy: {facts['examples']} held-out prompts.",
        f"Times: {facts['repetitions']} turns a side, prompt and {facts['new_tokens']} new tokens, "
        f"{facts['threads']} thread{'s' if facts['threads'] > 1 else ''}, {facts['device']}; "
        f"median (least to most). Whole: {facts['prompt_s']:.3g} s and {facts['answer_s']:.3g} s, "
        f"{format_bytes(facts['cache_bytes'])} of keys and values.",
        f"{trained} Saliency: from {facts['saliency_prompts']} training prompts, means over "
        f"{facts['window']} tokens. {adapted}From the store: {stored}.",
    ]


def _table(measurements: Sequence[Measurement], facts: dict[str, Any]) -> Table:
    table = plain_table(
        f"{facts['task']}, {facts['model']}, shortened after layer {facts['layer']} of "
        f"{facts['layers']}"
    )
    heads = ("method", "keep", "right", "points", "-/+", "recall", "speed-up", "cache")
    for head in heads:
        table.add_column(head, justify="left" if head == "method" else "right", no_wrap=True)
    for each in measurements:
        table.add_row(
            each.method,
            each.keep,
            f"{each.accuracy:.1%}",
            f"{0.0 - each.points_lost:+.1f}",
            f"{each.lost}/{each.won}",
            f"{each.token_recall:.0%}",
            f"{each.speed_up:.2f} ({each.slowest:.2f}-{each.fastest:.2f})",
            f"{each.cache_share:.0%}",
        )
    return table
