"""Trackers: a run told to TensorBoard, MLflow or Weights & Biases while it goes on.

A tracker is told, and never asked: no result depends on it, and one that fails is told no more.
None of the packages is imported before its tracker is made.
"""

from fsim.trackers.base import Tracker, TrackerGroup, numbers, run_name, settings
from fsim.trackers.registry import TRACKERS, make_tracker

__all__ = [
    "TRACKERS",
    "Tracker",
    "TrackerGroup",
    "make_tracker",
    "numbers",
    "run_name",
    "settings",
]
