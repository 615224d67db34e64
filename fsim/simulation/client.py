"""A client's part in one round, as a SimPy process: wait, download, compute, upload."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import simpy

from fsim.algorithms.base import ClientSide
from fsim.compression import EncodingContext
from fsim.compression.faults import explained
from fsim.core.errors import PayloadError, TraceError, TrainingDiverged, TransferNeverEnds
from fsim.core.rng import participation, stream
from fsim.core.types import Coverage, Update
from fsim.fleet import ClientProfile, Link
from fsim.fleet.availability import Vanishing
from fsim.network.transports.connection import Connection
from fsim.network.transports.packet_losses import Draws
from fsim.records import Kind
from fsim.server.protocols.base import ClientUpdate
from fsim.simulation.allowance import bytes_within
from fsim.simulation.learner import check_result
from fsim.simulation.losses import Loss
from fsim.simulation.radios import ClientRadio
from fsim.simulation.reasons import ClientLost, Ending, NoUpdate, Trouble
from fsim.simulation.run_context import RunContext
from fsim.simulation.transfer import Direction, Transferred, finish_of_work
from fsim.simulation.uplink_message import UplinkMessage, joined_length
from fsim.training.trainer import TrainingJob, TrainingResult


@dataclass(frozen=True)
class ClientRound:
    """One client in one round.

    Attributes
    ----------
    download_bytes
        Length of the serialised global adapter alone.
    job
        Training from what decoding those bytes gives.
    context
        The context of its encoding, but for the Fisher and the step sizes that training brings.
    weight
        Number of its training examples.
    seed
        The scenario's.
    algorithm
        The scenario's algorithm on this client.
    version
        Of the global adapter.
    repeat
        Times that the client was asked before in this round.
    """

    profile: ClientProfile
    round_number: int
    run_context: RunContext
    download_bytes: int
    job: TrainingJob
    context: EncodingContext
    weight: float
    seed: int
    algorithm: ClientSide
    version: int = 0
    repeat: int = 0

    def run(self) -> Generator[simpy.Event, Any, Ending]:
        """The process of the round; its value is the round's end.

        Raises
        ------
        TraceError
            A trace of the client ends before it is through, by ``past_end: error``.
        """
        started = self.run_context.env.now
        try:
            return (yield from self._take_part(started))
        except ClientLost as lost:
            return lost.ending
        except NoUpdate as unusable:
            # A message without a payload, whose few bytes are not billed.
            self._record(Kind.REJECTED, details={"reason": str(unusable)})
            return Ending(self._arrival(None, started), unusable.trouble)
        except TraceError as error:
            raise TraceError(f"client {self._who[0]}, round {self._who[1]}: {error}") from None

    def _take_part(self, started: float) -> Generator[simpy.Event, Any, Ending]:
        vanishing = self.profile.availability.drops_out(self.round_number, self.repeat)
        yield from self._wait_until_available()
        if vanishing is not None and vanishing.moment == "before-download":
            raise (yield from self._give_up(Loss(Trouble.DROPPED_OUT, "before-download")))
        yield from self._download()
        result = yield from self._train(vanishing)
        return (yield from self._upload(result, started, vanishing))

    def _wait_until_available(self) -> Generator[simpy.Event, Any, None]:
        env, availability = self.run_context.env, self.profile.availability
        # In floating point, now + (then - now) may fall short of then.
        while (available := availability.next_available(env.now)) > env.now:
            seconds = available - env.now
            yield env.timeout(seconds)
            energy = self.run_context.energy.waiting(self.profile.device, seconds)
            self._record(Kind.WAIT, seconds, energy=energy)

    def _download(self) -> Generator[simpy.Event, Any, None]:
        began, billing = self.run_context.env.now, self.run_context.billing
        size = billing.size(self.download_bytes)
        details: dict[str, Any] = {}
        if (beside := self.algorithm.download_bytes) is not None:
            size = billing.size(joined_length(self.download_bytes, beside))
            part = billing.size(beside)
            details = {"parts": {"adapter": size - part, self.algorithm.companion: part}}
        radio = self.run_context.radios.begin(self.profile, self.round_number)
        transferred = yield from self._transfer("down", size, radio)
        seconds = self.run_context.env.now - began
        energy = self.run_context.energy.download(transferred.active_s)
        details |= self._capacity(self.profile.downlink, began)
        self._record(Kind.DOWNLOAD, seconds, transferred.sent_bytes, energy, details)
        if not transferred.arrived:
            never = transferred.never
            trouble = Trouble.DOWNLOAD_NEVER_ENDS if never else Trouble.LEFT_DOWNLOADING
            raise (yield from self._give_up(Loss(trouble, "downloading", never)))

    def _train(self, vanishing: Vanishing | None) -> Generator[simpy.Event, Any, TrainingResult]:
        run_context, profile, env = self.run_context, self.profile, self.run_context.env
        operations = (
            run_context.learner.operations(self.job) * run_context.billing.operations_factor
        )
        work = profile.compute_seconds(
            operations, len(self.job.batches) * run_context.billing.operations_factor
        )
        began, trouble = env.now, Trouble.LEFT_COMPUTING
        if vanishing is not None and vanishing.moment == "computing":
            # Its training would never be seen by anyone: the time and energy are spent all the
            # same, the gradients are not computed.
            busy, end = vanishing.share * work, began + vanishing.share * work
            finish, trouble = None, Trouble.DROPPED_OUT
        else:
            finish, busy, end = finish_of_work(
                work, began, profile.availability, run_context.uplink.rule
            )
        energy = run_context.energy.compute(profile.device, busy)
        if finish is None:
            yield env.timeout(end - began)
            self._record(Kind.COMPUTE, env.now - began, energy=energy)
            raise (yield from self._give_up(Loss(trouble, "computing", idle_since=began)))
        ticket = run_context.learner.submit(self.job)
        yield env.timeout(finish - began)
        try:
            result = run_context.learner.result(ticket)
            check_result(result, f"client {self._who[0]}, round {self._who[1]}")
        except TrainingDiverged as error:
            details = {"operations": operations}
            self._record(Kind.COMPUTE, env.now - began, energy=energy, details=details)
            raise NoUpdate(Trouble.DIVERGED, str(error)) from None
        details = {
            "operations": operations,
            "loss_first": result.losses[0],
            "loss_last": result.losses[-1],
            "tokens_kept": result.tokens_kept,
        }
        if result.token_recall is not None:
            details["token_recall"] = result.token_recall
        self._record(Kind.COMPUTE, env.now - began, energy=energy, details=details)
        return result

    def _upload(
        self, result: TrainingResult, started: float, vanishing: Vanishing | None
    ) -> Generator[simpy.Event, Any, Ending]:
        run_context, env = self.run_context, self.run_context.env
        budget = self._budget()
        message = self._encode(result, budget)
        began, size = env.now, run_context.billing.size(message.size)
        radio = run_context.radios.begin(self.profile, self.round_number)
        if vanishing is not None and vanishing.moment == "uploading":
            yield from self._vanish_while_uploading(size, vanishing.share, radio)
        transferred = yield from self._transfer("up", size, radio)
        energy = run_context.energy.upload(transferred.active_s, transferred.sent_bytes)
        parts = {name: run_context.billing.size(part) for name, part in message.breakdown().items()}
        details: dict[str, Any] = self._capacity(self.profile.uplink, began)
        if parts:
            details["payload"] = parts
        if budget is not None:
            details["budget_bytes"] = run_context.billing.size(budget)
        self._record(Kind.UPLOAD, env.now - began, transferred.sent_bytes, energy, details)
        if not transferred.arrived:
            never = transferred.never
            trouble = Trouble.UPLOAD_NEVER_ENDS if never else Trouble.LEFT_UPLOADING
            raise (yield from self._give_up(Loss(trouble, "uploading", never, transferred.wasted)))
        if (back := run_context.uptime.back_at(env.now)) > env.now:
            yield env.timeout(back - env.now)
        if run_context.uptime.forgot(started, env.now):
            self._record(
                Kind.LOST, size=transferred.sent_bytes, details={"reason": Trouble.FORGOTTEN}
            )
            return Ending(None, Trouble.FORGOTTEN)
        return self._receive(message, result, transferred, started)

    def _receive(
        self,
        message: UplinkMessage,
        result: TrainingResult,
        transferred: Transferred,
        started: float,
    ) -> Ending:
        """Hand the update to the server, damaged, twice or lost as it may be."""
        run_context, keys = self.run_context, self._keys
        packets = stream(self.seed, "transport.loss", *keys)
        arrived = message.lossy(run_context.uplink.transport.lost(message.size, packets))
        arrived = arrived.changed(lambda piece: run_context.failures.corrupted(piece, *keys))
        received = run_context.billing.size(arrived.size)
        twice = received if run_context.failures.duplicated(*keys) else 0
        if twice:
            self._record(Kind.UPLOAD, size=twice, details={"duplicate": True})
        if transferred.sent_bytes + twice > received:
            self._record(Kind.DISCARDED, size=transferred.sent_bytes + twice - received)
        self._record(Kind.RECEIVE, size=received)
        update, companion, coverage, trouble = None, None, None, None
        try:
            encoded, beside = arrived.read()
            if beside is not None:
                companion = self.algorithm.decode(beside)
            update, coverage = encoded.decoded, encoded.coverage
        except PayloadError as error:
            self._record(Kind.REJECTED, details={"reason": explained(error)})
            trouble = Trouble.DAMAGED
        arrival = self._arrival(update, started, result.losses[-1], companion, coverage)
        return Ending(arrival, trouble)

    def _arrival(
        self,
        update: Update | None,
        started: float,
        loss: float | None = None,
        companion: Update | None = None,
        coverage: Coverage | None = None,
    ) -> ClientUpdate:
        return ClientUpdate(
            client=self.profile.client,
            weight=self.weight,
            update=update,
            base=self.job.adapter,
            version=self.version,
            started=started,
            seconds=self.run_context.env.now - started,
            loss=loss,
            steps=len(self.job.batches),
            companion=companion,
            coverage=coverage,
        )

    def _vanish_while_uploading(
        self, size: int, share: float, radio: ClientRadio
    ) -> Generator[simpy.Event, Any, None]:
        """Send for a share of the time that the upload would take alone, then vanish.

        One that would never end is left to go on until its last byte.
        """
        env, link, route = self.run_context.env, self.profile.uplink, self.run_context.uplink
        began, transport = env.now, route.transport
        opening = route.opening(link, self._connection(), radio.waking, self._draws("up"))
        way = link.capacity, size, began
        try:
            whole = transport.finish_time(*way, link.round_trip, opening) - began
        except TransferNeverEnds:
            return
        yield env.timeout(share * whole)
        sent_bytes = transport.sent_by(*way, env.now, link.round_trip, opening)
        active = env.now - began - radio.end(self.profile.availability, began)
        energy = self.run_context.energy.upload(active, sent_bytes)
        self._record(Kind.UPLOAD, env.now - began, sent_bytes, energy, self._capacity(link, began))
        raise (yield from self._give_up(Loss(Trouble.DROPPED_OUT, "uploading", wasted=sent_bytes)))

    def _give_up(self, loss: Loss) -> Generator[simpy.Event, Any, ClientLost]:
        """Wait until the server notices the loss; the exception to raise then."""
        run_context = self.run_context
        run_context.connections[self.profile.client].close()
        seconds, notice = yield from run_context.notices.wait(
            run_context.env, loss, self.profile.uplink.round_trip / 2, self._keys
        )
        details = {"reason": loss.trouble, "notice": notice}
        self._record(Kind.LOST, seconds, loss.wasted, details=details)
        return ClientLost(loss.trouble, loss.never)

    def _transfer(
        self, direction: Direction, size: int, radio: ClientRadio
    ) -> Generator[simpy.Event, Any, Transferred]:
        profile, up = self.profile, direction == "up"
        route = self.run_context.uplink if up else self.run_context.downlink
        return route.transfer(
            size,
            profile.uplink if up else profile.downlink,
            profile.availability,
            self._connection(),
            radio,
            self._draws(direction),
        )

    def _draws(self, direction: Direction) -> Draws:
        """Streams of the packets that are lost of a transfer, one a connection."""
        purpose, keys = f"transport.loss.{direction}", self._keys
        return lambda number: stream(self.seed, purpose, *keys, number)

    def _connection(self) -> Connection:
        """The client's connection, as far as the server is concerned."""
        connection = self.run_context.connections[self.profile.client]
        if self.run_context.uptime.crashed(connection.last_used, self.run_context.env.now):
            connection.close()
        return connection

    @property
    def _who(self) -> tuple[int, int]:
        return self.profile.client, self.round_number

    @property
    def _keys(self) -> tuple[int, ...]:
        """Keys of the random streams that are this asking's own."""
        return participation(*self._who, self.repeat)

    def _record(
        self,
        kind: Kind,
        seconds: float = 0.0,
        size: int = 0,
        energy: float = 0.0,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what the last ``seconds`` went into: bytes and joules."""
        began = self.run_context.env.now - seconds
        self.run_context.recorder.record(kind, began, seconds, *self._who, size, energy, details)

    def _capacity(self, link: Link, began: float) -> dict[str, float]:
        """Mean rate that the link alone could have carried meanwhile, B/s, if it is known."""
        rate = link.mean_rate(began, self.run_context.env.now)
        return {} if rate is None else {"capacity": round(rate, 3)}

    def _budget(self) -> int | None:
        """Bytes, as encoded, that the payload may have."""
        run_context, link = self.run_context, self.profile.uplink
        if run_context.upload_seconds is None:
            return None
        promotion = run_context.radios.promotion(self.profile)
        billed = bytes_within(
            run_context.upload_seconds, link, run_context.uplink.transport, promotion
        )
        return int(billed / run_context.billing.bytes_factor)

    def _encode(self, result: TrainingResult, budget: int | None) -> UplinkMessage:
        beside = self.algorithm.upload_bytes
        if budget is not None and beside is not None:
            around_it = joined_length(budget, beside) - budget
            budget = max(0, budget - around_it)
        context = dataclasses.replace(
            self.context, fisher=result.fisher, budget=budget, scales=result.scales
        )
        try:
            encoded = self.run_context.encoder.of(result.delta, context, result.key)
            companion = self.algorithm.encode(result.delta, len(self.job.batches))
            return UplinkMessage(encoded, companion, self.algorithm.companion)
        except ValueError as error:
            raise NoUpdate(
                Trouble.NOT_ENCODED,
                f"client {self._who[0]}, round {self._who[1]}: {explained(error)}",
            ) from None
