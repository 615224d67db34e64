"""A client's part in one round, as a SimPy process: wait, download, compute, upload."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import simpy

from fsim.compression import EncodingContext, Policy
from fsim.errors import EncodingFailed, TraceError, TransferNeverEnds
from fsim.fleet import ClientProfile, EnergyModel, Link
from fsim.learning.training import Trainer, TrainingJob, TrainingResult
from fsim.parcel import Parcel
from fsim.results.records import Kind, Recorder
from fsim.server.protocols.world import Arrival
from fsim.transfer import Route, Transferred, finish_of_work
from fsim.vocabulary import Layout


@dataclass(frozen=True)
class Billing:
    """Factors by which a small model's round is billed as a larger one's.

    Attributes
    ----------
    bytes_factor
        On the length of every payload, up and down.
    operations_factor
        On the operations of training, and on measured seconds a step.
    """

    bytes_factor: float = 1.0
    operations_factor: float = 1.0

    def size(self, length: int) -> int:
        """Bytes that are billed for a payload of that length."""
        return round(length * self.bytes_factor)


@dataclass(frozen=True)
class Surroundings:
    """What all clients of a run share.

    Attributes
    ----------
    uplink, downlink
        How their bytes travel.
    energy
        What their doings cost.
    dropout_timeout
        Seconds after a client's last sign of life until the server gives it up.
    """

    env: simpy.Environment
    uplink: Route
    downlink: Route
    trainer: Trainer
    policy: Policy
    recorder: Recorder
    energy: EnergyModel
    billing: Billing
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
    packets
        For the packets that are lost.
    """

    profile: ClientProfile
    round_number: int
    around: Surroundings
    download_bytes: int
    job: TrainingJob
    context: EncodingContext
    layout: Layout
    weight: float
    packets: np.random.Generator

    def run(self) -> Generator[simpy.Event, Any, Arrival | None]:
        """The process; its value is the update as the server decodes it, or None if lost."""
        yield from self._wait_until_available()
        if not (yield from self._download()):
            yield from self._give_up()
            return None
        result = yield from self._train()
        if result is None:
            yield from self._give_up()
            return None
        return (yield from self._upload(result))

    def _wait_until_available(self) -> Generator[simpy.Event, Any, None]:
        env, availability = self.around.env, self.profile.availability
        # In floating point, now + (then - now) may fall short of then.
        while (available := availability.next_available(env.now)) > env.now:
            seconds = available - env.now
            yield env.timeout(seconds)
            energy = self.around.energy.waiting(self.profile.device, seconds)
            self._record(Kind.WAIT, seconds, energy=energy)

    def _download(self) -> Generator[simpy.Event, Any, bool]:
        began, size = self.around.env.now, self.around.billing.size(self.download_bytes)
        done = yield from self._transfer(self.around.downlink, size, self.profile.downlink)
        seconds = self.around.env.now - began
        energy = self.around.energy.download(done.active_s)
        self._record(Kind.DOWNLOAD, seconds, done.sent, energy)
        return done.arrived

    def _train(self) -> Generator[simpy.Event, Any, TrainingResult | None]:
        around, profile, env = self.around, self.profile, self.around.env
        operations = around.trainer.operations(self.job) * around.billing.operations_factor
        work = profile.compute_seconds(
            operations, len(self.job.batches) * around.billing.operations_factor
        )
        began = env.now
        lost_after = profile.availability.drops_out(self.round_number)
        if lost_after is not None:
            # Its training would never be seen by anyone: the time and energy are spent all the
            # same, the gradients are not computed.
            busy, ended = lost_after * work, began + lost_after * work
            finish = None
        else:
            finish, busy, ended = finish_of_work(
                work, began, profile.availability, around.uplink.rule
            )
        energy = around.energy.compute(profile.device, busy)
        if finish is None:
            yield env.timeout(ended - began)
            self._record(Kind.COMPUTE, env.now - began, energy=energy)
            return None
        ticket = around.trainer.submit(self.job)
        yield env.timeout(finish - began)
        result = around.trainer.result(ticket)
        details = {
            "operations": operations,
            "loss_first": result.losses[0],
            "loss_last": result.losses[-1],
            "tokens_kept": result.tokens_kept,
        }
        self._record(Kind.COMPUTE, env.now - began, energy=energy, details=details)
        return result

    def _upload(self, result: TrainingResult) -> Generator[simpy.Event, Any, Arrival | None]:
        around = self.around
        parcel = self._encode(result)
        began, size = around.env.now, around.billing.size(parcel.size)
        done = yield from self._transfer(around.uplink, size, self.profile.uplink)
        energy = around.energy.upload(done.active_s, done.sent)
        self._record(Kind.UPLOAD, around.env.now - began, done.sent, energy)
        if not done.arrived:
            yield from self._give_up(done.wasted)
            return None
        arrived = parcel.lossy(around.uplink.transport.lost(parcel.size, self.packets))
        received = around.billing.size(arrived.size)
        if done.sent > received:
            self._record(Kind.DISCARDED, size=done.sent - received)
        self._record(Kind.RECEIVE, size=received)
        update = arrived.decode(around.policy, self.layout)
        return Arrival(self.profile.client, self.weight, update)

    def _give_up(self, wasted: int = 0) -> Generator[simpy.Event, Any, None]:
        """The server waits for a sign of life, in vain."""
        yield self.around.env.timeout(self.around.dropout_timeout)
        self._record(Kind.LOST, size=wasted)

    @property
    def _who(self) -> tuple[int, int]:
        return self.profile.client, self.round_number

    def _record(
        self,
        kind: Kind,
        seconds: float = 0.0,
        size: int = 0,
        energy: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the last ``seconds`` went into: bytes and joules."""
        began = self.around.env.now - seconds
        self.around.recorder.record(kind, began, seconds, *self._who, size, energy, details)

    def _transfer(
        self, route: Route, size: int, link: Link
    ) -> Generator[simpy.Event, Any, Transferred]:
        try:
            return (yield from route.transfer(size, link, self.profile.availability))
        except (TransferNeverEnds, TraceError) as error:
            raise type(error)(f"client {self._who[0]}, round {self._who[1]}: {error}") from None

    def _encode(self, result: TrainingResult) -> Parcel:
        context = dataclasses.replace(self.context, fisher=result.fisher)
        try:
            return Parcel.of(
                result.delta, self.around.policy, context, self.around.uplink.transport
            )
        except ValueError as error:
            raise EncodingFailed(f"client {self._who[0]}, round {self._who[1]}: {error}") from None
