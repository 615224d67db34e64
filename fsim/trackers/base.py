"""Interface of trackers, and a group of them that depends on none."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from typing_extensions import override

_log = logging.getLogger("fsim.trackers")

Row = Mapping[str, Any]


class Tracker(Protocol):
    """Whoever is told of a run while it goes on.

    What it is given is its own to change. What it raises ends its being told, not the run.
    """

    def start(self, scenario: Row) -> None:
        """The run begins.

        Parameters
        ----------
        scenario
            The settings as ``scenario.yaml`` has them, nested, every default written out.
        """
        ...

    def evaluation(self, row: Row) -> None:
        """The global adapter was evaluated.

        Parameters
        ----------
        row
            As the table of evaluations has it (``docs/results.md``): ``round`` (0 is before
            training), ``time_s`` (simulated seconds), ``accuracy``, ``loss``, ``perplexity``,
            ``token_accuracy``, ``uplink_bytes``, ``downlink_bytes``, ``energy_j`` (totals so far)
            and ``accuracy_by_label``.
        """
        ...

    def round(self, row: Row) -> None:
        """A round of the server is over; its evaluation, if there is one, comes after.

        Parameters
        ----------
        row
            ``round``, ``time_s`` and ``duration_s`` (simulated seconds: when it ended, how long it
            took), ``received`` and ``selected`` (clients), ``uplink_bytes``, ``downlink_bytes`` and
            ``energy_j`` (totals so far).
        """
        ...

    def finish(self, summary: Row) -> None:
        """The run is over, however it ended.

        Parameters
        ----------
        summary
            ``status``: ``"completed"``; ``"failed"``, with ``failure`` saying why; or
            ``"stopped"``, by an error or an interrupt, with no results. ``metrics`` and ``facts``
            as in ``summary.json``, empty where it was stopped.
        """
        ...


class TrackerGroup(Tracker):
    """Several trackers as one that never raises.

    A tracker that raises is named in one warning, and told no more; the others are, and the run
    goes on. (``KeyboardInterrupt`` and the like are the user's, and pass.)

    Parameters
    ----------
    trackers
        In the order in which they are told.
    """

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)

    @override
    def start(self, scenario: Row) -> None:
        self._tell("start", scenario)

    @override
    def evaluation(self, row: Row) -> None:
        self._tell("evaluation", row)

    @override
    def round(self, row: Row) -> None:
        self._tell("round", row)

    @override
    def finish(self, summary: Row) -> None:
        self._tell("finish", summary)

    def _tell(self, what: str, content: Row) -> None:
        for tracker in tuple(self._trackers):
            try:
                # A copy each: none can change what another, or the run itself, sees.
                getattr(tracker, what)(copy.deepcopy(dict(content)))
            except Exception as error:  # of packages, disks and networks of all kinds
                self._trackers.remove(tracker)
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                _log.warning(
                    "%s failed at %s and is told no more, the run goes on: %s",
                    type(tracker).__name__,
                    what,
                    reason,
                )


def numbers(prefix: str, row: Row) -> dict[str, float]:
    """The finite numbers of a row, named ``PREFIX/COLUMN``; what is empty or text is left out."""
    return {
        f"{prefix}/{name}": float(value)
        for name, value in row.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def settings(scenario: Row) -> dict[str, Any]:
    """Nested settings as one level, by their dotted paths; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in scenario.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{inner}": each for inner, each in settings(value).items()}
        else:
            flat[key] = value
    return flat


def run_name(scenario: Row) -> str:
    """Name of a run for trackers: ``NAME-POLICY-seed-SEED``."""
    policy = scenario.get("compression", {}).get("policy", "")
    parts = [scenario.get("name", "run"), policy, f"seed-{scenario.get('seed', 0)}"]
    return "-".join(str(part) for part in parts if part)
