"""Lost clients: how the server notices that one is gone, and when."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import simpy

from fsim.core.rng import stream
from fsim.server.keepalive import Keepalive
from fsim.simulation.failures import ServerUptime
from fsim.simulation.reasons import Trouble

LEAST_PATIENCE = 1e-3
"""Seconds that a loss takes to be noticed at the least, so that to ask a client again and again
takes time where its round trip takes none."""

Activity = Literal["before-download", "downloading", "computing", "uploading"]
"""What a client is at when it vanishes."""


class Notice(StrEnum):
    """The way in which the server notices a loss."""

    RESET = "reset"
    """The process ended: its kernel closes the connection (RFC 9293, sections 3.5.2 and 3.6)."""
    SILENT = "silent"
    """The radio is gone: nothing arrives any more."""


@dataclass(frozen=True)
class Loss:
    """A client that has vanished, or whose transfer will never end.

    Attributes
    ----------
    trouble
        The reason.
    activity
        What it was at.
    never
        The reason why a transfer of it would never end; empty where that is not the trouble.
    wasted
        Payload bytes that it had sent in vain.
    idle_since
        The last byte from or to it before it began to compute, seconds.
    """

    trouble: Trouble
    activity: Activity
    never: str = ""
    wasted: int = 0
    idle_since: float = 0.0


@dataclass(frozen=True)
class LossNotices:
    """Notices of lost clients.

    Attributes
    ----------
    seed
        The scenario's.
    silent
        Probability that a client that is lost falls silent.
    keepalive
        The server's.
    uptime
        The times at which the server is there to notice anything.
    """

    seed: int
    silent: float
    keepalive: Keepalive
    uptime: ServerUptime

    def wait(
        self, env: simpy.Environment, loss: Loss, one_way: float, keys: tuple[int, ...]
    ) -> Generator[simpy.Event, Any, tuple[float, Notice]]:
        """The process of waiting for the notice of a client that vanishes now.

        Parameters
        ----------
        one_way
            Seconds of a byte's way from the client to the server, and of one back.
        keys
            Of the asking (:func:`fsim.core.rng.participation`).

        Returns
        -------
        tuple[float, Notice]
            Seconds that it took, and the way in which the loss was noticed.
        """
        notice = self.draw(loss, *keys)
        seconds = self.noticed_at(notice, loss, env.now, one_way) - env.now
        yield env.timeout(seconds)
        return seconds, notice

    def draw(self, loss: Loss, *keys: int) -> Notice:
        """The way in which a loss will be noticed."""
        if loss.never:
            # Over a link that carries nothing any more no reset arrives either.
            return Notice.SILENT
        if not self.silent:
            return Notice.RESET
        silent = stream(self.seed, "fleet.silent_losses", *keys).random() < self.silent
        return Notice.SILENT if silent else Notice.RESET

    def noticed_at(self, notice: Notice, loss: Loss, vanished: float, one_way: float) -> float:
        """The time at which the server notices a client that vanished at another, seconds.

        One that is lost ``before-download`` vanishes when it is asked. A server that is down
        notices nothing until it is back.
        """
        if notice is Notice.RESET:
            # What asks a client has to reach it before its kernel can refuse it.
            ways = 2 if loss.activity == "before-download" else 1
            noticed = vanished + ways * one_way
        else:
            noticed = self._silence_ends(loss, vanished, one_way)
        return self.uptime.back_at(max(noticed, vanished + LEAST_PATIENCE))

    def _silence_ends(self, loss: Loss, vanished: float, one_way: float) -> float:
        match loss.activity:
            case "before-download":
                return self.keepalive.closes_sending(vanished)
            case "downloading":
                return self.keepalive.closes_sending(vanished + one_way)
            case "computing":
                heard = loss.idle_since + one_way
            case "uploading":
                heard = vanished + one_way
        return self.keepalive.closes_idle(heard, vanished - one_way)
