"""Options, store and console that all groups of commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from fsim.core.errors import ScenarioError, shown

if TYPE_CHECKING:
    import pandas as pd

MOST_PROCESSES = 1024

# Names of files and scenarios are shown as they are: [x] is no style, and :x: no picture.
console = Console(markup=False, emoji=False)


def _without_dots(folder: Path | None) -> Path | None:
    """``new/../x`` as ``x``: once results are there, it leads there whether ``new`` is or not."""
    try:
        return folder.resolve() if folder is not None and ".." in folder.parts else folder
    except (OSError, RuntimeError):  # whoever writes there tells what is wrong with it
        return folder


ScenarioFile = Annotated[Path, typer.Argument(help="A scenario file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key by its dotted path."),
]
StorePlace = Annotated[
    str | None,
    typer.Option(
        "--store",
        help='Folder or fsspec URL for results of learning, or "none"; FSIM_STORE or a cache by '
        "default.",
    ),
]


def out_option(default: str) -> Any:
    """The option for a folder of results."""
    text = f"Folder for the results; {default} by default."
    return typer.Option("--out", help=text, callback=_without_dots)


Out = Annotated[Path | None, out_option("runs/NAME")]

Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace results of something else in the folder."),
]


def within(option: str, value: int, most: int, least: int = 1) -> int:
    """The value of an option, if it is from ``least`` to ``most``; ScenarioError if not."""
    if not least <= value <= most:
        raise ScenarioError(f"{option}: found {shown(value)}, allowed is {least} to {most}")
    return value


def cores() -> int:
    """Cores that this process may use: how many runs go on at a time by default."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def print_billing(summary: pd.DataFrame) -> None:
    """Say below a table by how much bytes and seconds were multiplied, if they were.

    Parameters
    ----------
    summary
        A row a run, with the factors as columns, as :func:`fsim.load` gives it.
    """
    from fsim.figures.content import billing_note

    note = billing_note(summary)
    if note:
        console.print(f"As a larger model's: {note}.")


def print_path(label: str, path: Path | str) -> None:
    """Print where something is, in one line however long, so that it can be copied."""
    console.print(f"{label}: {path}", soft_wrap=True, highlight=False)


def plain_table(title: str, caption: str | None = None) -> Table:
    """A table of figures: title above, what is to be known of them below, no lines but one."""
    return Table(
        title=title,
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )


def line(name: str, summary: str, width: int = 18) -> None:
    """Print what may be chosen or set: its name, and what it is."""
    console.print(f"{name:<{width}} {summary}".rstrip(), highlight=False, soft_wrap=True)
