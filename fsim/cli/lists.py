"""The commands that list what there is to choose from, one for each registry."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fsim.cli.options import line
from fsim.core.sources import options_of, summary_of

OPTION_WIDTH = 32


@dataclass(frozen=True)
class Listing:
    """A registry, and the command that lists it.

    Attributes
    ----------
    command
        Its name.
    module, attribute
        Where the registry is; imported when it is listed.
    what
        Its things, as the help names them.
    remark
        What is said of one of them after its summary.
    """

    command: str
    module: str
    attribute: str
    what: str
    remark: Callable[[Any], str] = lambda entry: ""

    def __call__(self) -> None:
        """Print what there is, each with its options, their defaults and what they mean."""
        registry = getattr(importlib.import_module(self.module), self.attribute)
        for name, entry in registry.items():
            if not isinstance(entry, type):  # data has a summary, and no options
                line(name, entry.summary)
                continue
            line(name, summary_of(entry) + self.remark(entry))
            for option in options_of(entry):
                line(f"    {option.name}={option.default}", option.meaning, OPTION_WIDTH)


def _ways(kind: Any) -> str:
    return " (read, written)" if hasattr(kind, "write") else " (read)"


FORMATS = Listing("formats", "fsim.network.formats", "FORMATS", "the formats of traces", _ways)


LISTINGS = (
    Listing("policies", "fsim.compression", "POLICIES", "the compression policies"),
    Listing("protocols", "fsim.server.protocols", "PROTOCOLS", "the round protocols"),
    Listing("selectors", "fsim.server.selection", "SELECTORS", "the rules that choose clients"),
    Listing("aggregations", "fsim.server.aggregation", "AGGREGATIONS", "the means of updates"),
    Listing("algorithms", "fsim.algorithms", "ALGORITHMS", "the corrections of client drift"),
    Listing("optimizers", "fsim.server.optimizers", "OPTIMIZERS", "the server's optimisers"),
    Listing("staleness", "fsim.server.staleness", "STALENESS", "the weights of stale updates"),
    Listing("tasks", "fsim.data.tasks", "TASKS", "the tasks"),
    FORMATS,
    Listing("generators", "fsim.network.generators", "GENERATORS", "the generators of traces"),
    Listing("transports", "fsim.network.transports.transports", "TRANSPORTS", "the transports"),
    Listing("devices", "fsim.fleet", "DEVICES", "the devices that clients can be"),
    Listing("radios", "fsim.fleet", "RADIOS", "the radios that clients can have"),
    Listing("figures", "fsim.figures.registry", "FIGURES", "the figures of results"),
    Listing("trackers", "fsim.trackers", "TRACKERS", "the trackers that a run can be told to"),
)


def command(listing: Listing) -> Callable[[], None]:
    """The function that the command line calls, its help being its docstring."""

    def show() -> None:
        listing()

    show.__doc__ = f"List {listing.what}, with their options."
    return show


def models() -> None:
    """List the base models."""
    from fsim.model.loading import MODELS

    for model in MODELS.values():
        state = "present" if model.present() else f"get it with: {model.how_to_get}"
        line(model.name, f"{model.summary} [{state}]")
    line("FOLDER", "any local folder with a Hugging Face causal language model")
    line("ORGANISATION/NAME", "one in the Hugging Face cache of this machine, or on the hub")
