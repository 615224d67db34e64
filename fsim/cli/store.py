"""``fsim store``: look after the results of learning that are kept."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from fsim.cli.options import StorePlace, console, print_path
from fsim.core.errors import ScenarioError
from fsim.core.units import format_bytes
from fsim.store import State, Store, as_store

store_app = typer.Typer(help="The store of results of learning.", no_args_is_help=True)


@store_app.command("info")
def store_info(store: StorePlace = None) -> None:
    """Say where the store is and what it holds."""
    info = _required_store(store).info()
    console.print(
        f"{info.folder}: {info.entries} entries, {format_bytes(info.size)}", soft_wrap=True
    )


@store_app.command("verify")
def store_verify(store: StorePlace = None) -> None:
    """Read every entry and name what is wrong; exit code 1 if anything is.

    That is damaged entries, entries in the place of another (swapped), and strangers: files that
    are not the store's, which it leaves alone.
    """
    counts = Counter[State]()
    for fault in _required_store(store).faults():
        counts[fault.state] += 1
        print_path(str(fault.state), fault.place)
    console.print(
        f"{counts[State.STRANGER]} strangers, {counts[State.SWAPPED]} swapped entries, "
        f"{counts[State.DAMAGED]} damaged entries"
    )
    if counts:
        raise typer.Exit(1)


@store_app.command("prune")
def store_prune(
    limit: Annotated[str, typer.Option(help="Size to keep, as 500 MB or 2 GB.")],
    store: StorePlace = None,
) -> None:
    """Remove the least recently used entries until the store is small enough."""
    from fsim.core.units import parse_quantity

    try:
        size = parse_quantity(limit, "size")
    except ValueError as error:
        raise ScenarioError(f"--limit: {error}") from None
    entries = _required_store(store)
    removed = entries.prune(int(size))
    console.print(f"{removed} entries removed, {format_bytes(entries.info().size)} left")


def _required_store(location: str | None) -> Store:
    store = as_store(location)
    if store is None:
        raise ScenarioError("--store: found none, allowed is a folder or a URL")
    return store
