"""Counts of the clients that a run asked, by how each asking ended."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass
class ClientCounts:
    """Clients asked, and how each asking ended.

    Attributes
    ----------
    selected
        Times that a client was started.
    aggregated
        Updates that entered the global adapter.
    late
        Updates that came too late to be used, or in a round that was abandoned.
    rejected
        Updates that could not be read, or were screened out.
    dropped
        Clients of whom nothing was received: gone, or the server had forgotten them.
    unfinished
        Clients still at it when the run ended, or whose update had come and was not yet used.
    """

    selected: int = 0
    aggregated: int = 0
    late: int = 0
    rejected: int = 0
    dropped: int = 0
    unfinished: int = 0

    def check(self) -> None:
        """Refuse counts of ends that do not add up to the clients asked.

        Raises
        ------
        RuntimeError
            They do not, by a fault in the simulator.
        """
        ends = self.aggregated + self.late + self.rejected + self.dropped + self.unfinished
        if self.selected != ends:
            raise RuntimeError(f"{self.selected} clients were asked, but {ends} accounted for")

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)
