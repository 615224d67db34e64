"""Reasons why nothing came of asking a client, in records, the summary and messages."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fsim.server.protocols.base import ClientUpdate


class Trouble(StrEnum):
    """A reason why a client's round ended without an update that could be used."""

    DROPPED_OUT = "dropped out"
    LEFT_DOWNLOADING = "went away while downloading"
    LEFT_COMPUTING = "went away while computing"
    LEFT_UPLOADING = "went away while uploading"
    DOWNLOAD_NEVER_ENDS = "its download never ends"
    UPLOAD_NEVER_ENDS = "its upload never ends"
    FORGOTTEN = "the server had crashed"
    DIVERGED = "its training diverged"
    NOT_ENCODED = "its update cannot be encoded"
    DAMAGED = "its payload was damaged"

    @property
    def advice(self) -> str:
        """Advice where this happens to all clients; empty where there is nothing to set."""
        return _ADVICE.get(self, "")


_TIME_ON = "no time on is long enough (fleet.availability, fleet.when_away)"
_LINK = "the capacity stays at zero (fleet.uplink, fleet.downlink)"
_ADVICE = {
    Trouble.DROPPED_OUT: "fleet.availability.probability",
    Trouble.LEFT_DOWNLOADING: _TIME_ON,
    Trouble.LEFT_COMPUTING: _TIME_ON,
    Trouble.LEFT_UPLOADING: _TIME_ON,
    Trouble.DOWNLOAD_NEVER_ENDS: _LINK,
    Trouble.UPLOAD_NEVER_ENDS: _LINK,
    Trouble.DIVERGED: "training.learning_rate, training.max_gradient_norm",
    Trouble.NOT_ENCODED: "compression, training.learning_rate",
    Trouble.DAMAGED: "failures.corrupted",
}


@dataclass(frozen=True)
class Ending:
    """The end of a client's round.

    Attributes
    ----------
    arrival
        The update as the server decodes it, or without one where it cannot be used; None for a
        client that is lost.
    trouble
        The reason why there is no update.
    never
        The reason why a transfer of it would never end; empty where that was not the trouble.
    """

    arrival: ClientUpdate | None
    trouble: Trouble | None = None
    never: str = ""


class ClientLost(Exception):
    """The server has noticed that the client is lost."""

    def __init__(self, trouble: Trouble, never: str = "") -> None:
        super().__init__(trouble)
        self.ending = Ending(None, trouble, never)


class NoUpdate(Exception):
    """The client has no update to send, and says so."""

    def __init__(self, trouble: Trouble, why: str) -> None:
        super().__init__(why)
        self.trouble = trouble
