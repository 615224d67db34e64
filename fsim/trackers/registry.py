"""Trackers by name, as ``fsim run --track NAME:PLACE`` has them."""

from __future__ import annotations

import importlib.util

from fsim.core.errors import ScenarioError
from fsim.core.registry import Registry
from fsim.trackers.base import Tracker
from fsim.trackers.mlflow_tracker import MlflowTracker
from fsim.trackers.tensorboard_tracker import TensorBoardTracker
from fsim.trackers.wandb_tracker import WandbTracker

TRACKERS: Registry[Tracker] = Registry(
    "tracker",
    Tracker,
    "fsim.trackers.Tracker",
    (TensorBoardTracker, MlflowTracker, WandbTracker),
    in_results=False,
    frozen=False,
)
"""Name -> tracker, made with its ``place``."""


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
    # One of a user's own need not name any.
    packages = getattr(TRACKERS[name], "packages", ())
    if any(importlib.util.find_spec(package) is None for package in packages):
        extra = f"'fsim[{name}]'" if TRACKERS.ships(name) else " ".join(packages)
        raise ScenarioError(f"--track: found {name}, which is not installed: pip install {extra}")
    try:
        return TRACKERS.make(name, {"place": place} if place else {})
    except ValueError as error:
        raise ScenarioError(f"--track: {error}") from None
