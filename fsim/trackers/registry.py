"""Trackers by name, as ``fsim run --track NAME:PLACE`` has them."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass

from fsim.core.errors import ScenarioError
from fsim.trackers.base import Tracker


@dataclass(frozen=True)
class TrackerEntry:
    """A tracker as the registry lists it.

    Attributes
    ----------
    module, kind
        Where its class is; imported when it is made.
    packages
        That have to be installed; by the extra of the tracker's name.
    """

    module: str
    kind: str
    packages: tuple[str, ...]


TRACKERS: dict[str, TrackerEntry] = {
    "tensorboard": TrackerEntry(
        "fsim.trackers.tensorboard_tracker", "TensorBoardTracker", ("tensorboard",)
    ),
    "mlflow": TrackerEntry(
        "fsim.trackers.mlflow_tracker", "MlflowTracker", ("mlflow", "sqlalchemy", "alembic")
    ),
    "wandb": TrackerEntry("fsim.trackers.wandb_tracker", "WandbTracker", ("wandb",)),
}


def make_tracker(text: str) -> Tracker:
    """A tracker as the command line names it.

    Parameters
    ----------
    text
        ``NAME`` or ``NAME:PLACE``; the place is a folder, ``runs/NAME`` by default, and for mlflow
        may be a tracking URI.

    Raises
    ------
    ScenarioError
        An unknown name, no place after the colon, or a package that is not installed, with the
        command that installs it.
    """
    name, colon, place = text.partition(":")
    if name not in TRACKERS:
        raise ScenarioError(f"--track: found {name!r}, allowed are {', '.join(TRACKERS)}")
    if colon and not place:
        raise ScenarioError(f"--track: found {text!r}, allowed is {name} or {name}:FOLDER")
    entry = TRACKERS[name]
    if any(importlib.util.find_spec(package) is None for package in entry.packages):
        raise ScenarioError(
            f"--track: found {name}, which is not installed: pip install 'fsim[{name}]'"
        )
    made: Tracker = getattr(importlib.import_module(entry.module), entry.kind)(
        place or f"runs/{name}"
    )
    return made
