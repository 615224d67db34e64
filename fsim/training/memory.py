"""The most memory that a client's local training takes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from fsim.core.errors import ScenarioError
from fsim.training.cohort import Cohort, SlotJob, SlotResult

DEVICES = {"cpu": 0, "cuda": 1}
"""PyTorch's number of each kind of device whose allocations its profiler tells of."""

QUIET = "6"
"""Level of the profiler's own log, above which it says nothing."""


class TrainingMemory:
    """The most bytes of tensors that there are at once while a cohort of one trains.

    They are the base model's and the slot's (:attr:`fsim.training.cohort.Cohort.held_bytes`), and
    above them whatever PyTorch's allocator gave out, step by step, as ``torch.profiler`` records
    it: activations, gradients, the optimiser's state, sensitivities. The same job takes the same
    every time. Python, libraries, data and what matrix routines take for themselves are not in it.

    Parameters
    ----------
    cohort
        Whose training is measured, of one slot: what clients side by side share is nobody's.

    Attributes
    ----------
    peak
        Over all jobs so far, bytes; 0 before the first.

    Raises
    ------
    ScenarioError
        The model is on a device whose allocations are not told.
    """

    def __init__(self, cohort: Cohort) -> None:
        if cohort.width != 1:
            raise ValueError(f"found {cohort.width} slots, allowed is 1")
        if cohort.device.type not in DEVICES:
            raise ScenarioError(
                f"model.device: found {cohort.device.type}, allowed is one of {', '.join(DEVICES)} "
                "where training.measure_memory is true"
            )
        self._cohort = cohort
        self.peak = 0

    def train(self, jobs: Sequence[SlotJob]) -> list[SlotResult]:
        """As :meth:`fsim.training.cohort.Cohort.train`, measured."""
        # Read once, when the first profile of a process begins.
        os.environ.setdefault("KINETO_LOG_LEVEL", QUIET)
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profile:
            results = self._cohort.train(jobs)
        above = _most_above_start(profile, DEVICES[self._cohort.device.type])
        self.peak = max(self.peak, self._cohort.held_bytes + above)
        return results


def _most_above_start(profile: torch.profiler.profile, device: int) -> int:
    """The most bytes that were given out and not yet given back, of one kind of device."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_bytes())["traceEvents"]
    changes = [
        (event["ts"], event["args"]["Ev Idx"], event["args"]["Bytes"])
        for event in events
        if event.get("name") == "[memory]" and event["args"]["Device Type"] == device
    ]
    current = most = 0
    for _, _, size in sorted(changes):
        current += size
        most = max(most, current)
    return most
