"""Whether anyone can keep a deadline: the least time that a client's first round takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fsim.compression.wire import HEADER_BYTES
from fsim.errors import ScenarioError
from fsim.fleet import ClientProfile, Link
from fsim.network import Capacity, Transport


@dataclass(frozen=True)
class LeastRound:
    """The least seconds of a client's round: links at their highest rate, and nobody else on them.

    Attributes
    ----------
    download_bytes
        That are billed for the adapter.
    operations, steps
        Client -> those of training, as they are billed.
    """

    transport: Transport
    download_bytes: int
    operations: Callable[[int], float]
    steps: Callable[[int], float]

    def seconds(self, profile: ClientProfile) -> tuple[float, float, float]:
        """Of download, training, and the upload of a payload of nothing but its header."""
        training = profile.compute_seconds(
            self.operations(profile.client), self.steps(profile.client)
        )
        down = self._transfer(self.download_bytes, profile.downlink)
        return down, training, self._transfer(HEADER_BYTES, profile.uplink)

    def _transfer(self, size: int, link: Link) -> float:
        highest = link.capacity.staircase.highest * link.capacity.scale
        if not highest:
            return float("inf")
        return self.transport.finish_time(Capacity.constant(highest), size, 0.0, link.round_trip)


def check_window(window: float, clients: Iterable[ClientProfile], least: LeastRound) -> None:
    """Refuse a deadline that nobody can keep.

    Parameters
    ----------
    window
        Seconds from being asked to having answered.
    clients
        Looked at until one is found that can.
    least
        What a round takes at the least.

    Raises
    ------
    ScenarioError
        Naming the deadline and what the fastest client needs.
    """
    best: tuple[float, float, float] | None = None
    for profile in clients:
        found = least.seconds(profile)
        if sum(found) <= window:
            return
        if best is None or sum(found) < sum(best):
            best = found
    if best is None:
        return
    down, training, up = best
    raise ScenarioError(
        f"protocol.after: found {window:g} s, the fastest client needs at least {sum(best):.4g} s: "
        f"{down:.4g} s to download over fleet.downlink, {training:.4g} s for training.local_steps, "
        f"{up:.4g} s or more over fleet.uplink"
    )
