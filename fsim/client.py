"""A client's part in one round, as a SimPy process: wait, download, compute, upload."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from fsim.compression import EncodingContext, Policy
from fsim.errors import EncodingFailed, TraceError, TransferNeverEnds
from fsim.fleet import ClientProfile, Link
from fsim.learning.training import Trainer, TrainingJob, TrainingResult
from fsim.network import Transport
from fsim.results.records import Kind, Recorder
from fsim.server.protocols.world import Arrival
from fsim.vocabulary import Layout


@dataclass(frozen=True)
class Surroundings:
    """What all clients of a run share.

    Attributes
    ----------
    transmit_power, receive_power
        Watts.
    dropout_timeout
        Seconds after a client's last sign of life until the server gives it up.
    """

    env: simpy.Environment
    transport: Transport
    trainer: Trainer
    policy: Policy
    recorder: Recorder
    transmit_power: float
    receive_power: float
    dropout_timeout: float


@dataclass(frozen=True)
class ClientRound:
    """One client in one round.

    Attributes
    ----------
    download_bytes
        Length of the serialised global adapter.
    job
        Training from what decoding those bytes gives.
    context
        What the client knows when it encodes, but for the Fisher that training brings.
    layout
        Of the adapter, for decoding.
    weight
        Number of its training examples.
    """

    profile: ClientProfile
    round_number: int
    around: Surroundings
    download_bytes: int
    job: TrainingJob
    context: EncodingContext
    layout: Layout
    weight: float

    def run(self) -> Generator[simpy.Event, Any, Arrival | None]:
        """The process; its value is the update as the server decodes it, or None if lost."""
        around, profile = self.around, self.profile
        env = around.env
        available = profile.availability.next_available(env.now)
        if available > env.now:
            yield from self._spend(Kind.WAIT, available - env.now)
        seconds = self._transfer_seconds(profile.downlink, self.download_bytes)
        yield from self._spend(Kind.DOWNLOAD, seconds, self.download_bytes, around.receive_power)
        operations = around.trainer.operations(self.job)
        seconds = profile.compute_seconds(operations, len(self.job.batches))
        power = profile.device.compute_power
        lost_after = profile.availability.drops_out(self.round_number)
        if lost_after is not None:
            # Its training would never be seen by anyone: the time and energy are spent all the
            # same, the gradients are not computed.
            yield from self._spend(Kind.COMPUTE, lost_after * seconds, 0, power)
            yield env.timeout(around.dropout_timeout)
            self._record(Kind.LOST)
            return None
        ticket = around.trainer.submit(self.job)
        yield env.timeout(seconds)
        result = around.trainer.result(ticket)
        details = {
            "operations": operations,
            "loss_first": result.losses[0],
            "loss_last": result.losses[-1],
            "tokens_kept": result.tokens_kept,
        }
        self._record(Kind.COMPUTE, seconds, 0, power, details)
        payload = self._encode(result)
        seconds = self._transfer_seconds(profile.uplink, len(payload))
        yield from self._spend(Kind.UPLOAD, seconds, len(payload), around.transmit_power)
        self._record(Kind.RECEIVE, size=len(payload))
        update = around.policy.decode(payload, self.layout)
        return Arrival(profile.client, self.weight, update)

    @property
    def _who(self) -> tuple[int, int]:
        return self.profile.client, self.round_number

    def _record(
        self,
        kind: Kind,
        seconds: float = 0.0,
        size: int = 0,
        power: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the last ``seconds`` went into, at a constant power (watts)."""
        began = self.around.env.now - seconds
        self.around.recorder.record(
            kind, began, seconds, *self._who, size, power * seconds, details
        )

    def _spend(
        self, kind: Kind, seconds: float, size: int = 0, power: float = 0.0
    ) -> Generator[simpy.Event, Any, None]:
        """Let time pass, then record it."""
        yield self.around.env.timeout(seconds)
        self._record(kind, seconds, size, power)

    def _transfer_seconds(self, link: Link, size: int) -> float:
        now = self.around.env.now
        try:
            finish = self.around.transport.finish_time(link.capacity, size, now, link.round_trip)
        except (TransferNeverEnds, TraceError) as error:
            raise type(error)(f"client {self._who[0]}, round {self._who[1]}: {error}") from None
        return finish - now

    def _encode(self, result: TrainingResult) -> bytes:
        context = dataclasses.replace(self.context, fisher=result.fisher)
        try:
            return self.around.policy.encode(result.delta, context)
        except ValueError as error:
            raise EncodingFailed(f"client {self._who[0]}, round {self._who[1]}: {error}") from None
