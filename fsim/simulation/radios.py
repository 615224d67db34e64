"""Clients' radios on the clock: when each was last used, and the joules of promotions and tails.

A tail is billed as far as it has come: when the client's next transfer begins, at each evaluation
and round, and at the end of the run, so that totals of joules hold no second that has not been.
"""

from __future__ import annotations

import math

import simpy

from fsim.fleet import Availability, ClientProfile, Radio
from fsim.network.transports.waking import Waking
from fsim.records import Kind, Recorder


class ClientRadio:
    """The radio of one client, which is used by one transfer at a time.

    Attributes
    ----------
    kind
        Its figures.
    last_used
        Seconds, when its last transfer ended, or was broken off; ``-inf`` before the first.
    round_number
        The round of that transfer, which its tail is billed to.
    """

    __slots__ = ("_billed", "_client", "_radios", "kind", "last_used", "round_number")

    def __init__(self, radios: Radios, kind: Radio, client: int) -> None:
        self.kind, self.last_used, self.round_number = kind, -math.inf, 0
        self._radios, self._client = radios, client
        self._billed = 0.0

    @property
    def waking(self) -> Waking:
        """Its state, as transfers see it."""
        return Waking(self.kind.promotion_after, self.last_used)

    def bill_tail(self, until: float) -> None:
        """Bill what its tail has come to until a time (seconds), but for what is billed."""
        gap = until - self.last_used
        if math.isinf(gap):
            return
        joules = self.kind.tail_energy(gap) - self.kind.tail_energy(self._billed)
        seconds = min(gap, self.kind.tail_seconds) - self._billed
        self._bill("tail", seconds, joules)
        self._billed = min(gap, self.kind.tail_seconds)

    def end(self, availability: Availability, began: float) -> float:
        """Note that a transfer which began at a time (seconds) has ended or was broken off now.

        Returns
        -------
        float
            Seconds of promotions in it, as far as the client was there: one at its beginning and
            one whenever the client was away for longer than a tail, if the radio had idled.
        """
        now, promoted = self._radios.env.now, 0.0
        if self.kind.is_free:
            return promoted
        for window in availability.windows(began):
            if window.begin >= now:
                break
            self.bill_tail(window.begin)
            until = min(window.end, now)
            promoted += min(self.waking.promotion(window.begin), until - window.begin)
            self.last_used, self._billed = until, 0.0
            if window.end >= now:
                break
        self._bill("promotion", promoted, self.kind.promotion_energy(promoted))
        self._radios.tails[self._client] = self
        return promoted

    def _bill(self, part: str, seconds: float, joules: float) -> None:
        if joules > 0:
            # Of no duration: it is beside what the client does meanwhile.
            details = {"part": part, "seconds": seconds}
            self._radios.recorder.record(
                Kind.RADIO, self._radios.env.now, 0.0, self._client, self.round_number,
                energy=joules, details=details,
            )  # fmt: skip


class Radios:
    """The radios of all clients that have one which takes time or joules.

    Attributes
    ----------
    tails
        Client -> its radio, of those that are not in use and may be in their tail.
    """

    def __init__(self, env: simpy.Environment, recorder: Recorder) -> None:
        self.env, self.recorder = env, recorder
        self.tails: dict[int, ClientRadio] = {}
        self._radios: dict[int, ClientRadio] = {}

    def promotion(self, profile: ClientProfile) -> float:
        """Seconds that a client's radio takes to wake up for a transfer that begins now."""
        radio = self._radios.get(profile.client)
        waking = Waking(profile.radio.promotion_after) if radio is None else radio.waking
        return waking.promotion(self.env.now)

    def begin(self, profile: ClientProfile, round_number: int) -> ClientRadio:
        """The client's radio, in use from now on until its ``end``."""
        kind, client = profile.radio, profile.client
        if kind.is_free:  # nothing of it need be known
            return ClientRadio(self, kind, client)
        if client not in self._radios:
            self._radios[client] = ClientRadio(self, kind, client)
        radio = self._radios[client]
        if self.tails.pop(client, None) is not None:
            radio.bill_tail(self.env.now)
        radio.round_number = round_number
        return radio

    def settle(self) -> None:
        """Bill all tails until now."""
        for client, radio in list(self.tails.items()):
            radio.bill_tail(self.env.now)
            if self.env.now - radio.last_used >= radio.kind.tail_seconds:
                del self.tails[client]
