"""A world that is watched: it does what it does, and a list of it is kept beside its own books."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import simpy

from fsim.compression import EncodingContext
from fsim.core.errors import NothingLeft
from fsim.core.types import Update
from fsim.fleet import Availability, ClientProfile
from fsim.fleet.availability import Vanishing
from fsim.fleet.population import DrawnPopulation
from fsim.network import Transport
from fsim.server.protocols.base import ClientResult, ClientUpdate
from fsim.settings.loading import LoadedScenario
from fsim.simulation.build import build_population
from fsim.simulation.failures import PayloadFailures
from fsim.simulation.payload import EncodedUpdate, PayloadEncoder
from fsim.simulation.world import SimulatedWorld
from fsim.store.memory_cache import MemoryCache
from tests.exploration.learner import RecordedLearner

MOST_ASKINGS = 400
"""Times that clients are asked in a run: twenty times what its rounds want."""

ENOUGH = "enough is seen"
"""What a run is ended with that has asked so often; nothing is wrong with that."""


class Stalled(BaseException):
    """A run stands still; not for anyone to catch on the way."""


class TooLong(BaseException):
    """A run goes on, but for longer than there is time; nothing is wrong with that."""


@dataclass
class Asking:
    """A client that was asked, and what became of it.

    Attributes
    ----------
    asked_s, answered_s
        Seconds; None while it is at work.
    was_there
        Whether the client was there when it was asked.
    at_work
        Whether it had something to do already.
    arrival
        What it answered; None if it is at work or lost.
    """

    client: int
    round_number: int
    asked_s: float
    was_there: bool
    at_work: bool
    answered_s: float | None = None
    arrival: ClientUpdate | None = None

    @property
    def readable(self) -> bool:
        """Whether the server has an update of it."""
        return self.arrival is not None and self.arrival.update is not None


@dataclass
class Use:
    """Updates that the protocol had aggregated, or set aside.

    Attributes
    ----------
    how
        The world's method: ``"close_round"`` or ``"set_aside"``.
    askings
        Numbers of those whose arrivals it was given.
    before, after
        The global adapter.
    aggregated
        How many the world says it has aggregated of them.
    """

    how: str
    time_s: float
    version: int
    askings: tuple[int, ...]
    before: Update
    after: Update
    aggregated: int


@dataclass
class Watched:
    """What was seen of a run.

    Attributes
    ----------
    askings, uses
        In the order of time.
    chosen
        Of each selection: when, how many were wanted, who was chosen, and who of them was at work.
    vanishings
        Client, what its availability was asked, and what it said: every time.
    draws
        Purpose and key of every draw that is an asking's own: keys of its stream, or its state.
    damaged
        Of each payload that arrived, whether it was damaged.
    """

    askings: list[Asking] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    chosen: list[tuple[float, int, tuple[int, ...], tuple[int, ...]]] = field(default_factory=list)
    vanishings: list[tuple[int, tuple[Any, ...], Vanishing | None]] = field(default_factory=list)
    draws: list[tuple[str, Any]] = field(default_factory=list)
    damaged: list[bool] = field(default_factory=list)

    def note(self, purpose: str, rng: np.random.Generator) -> None:
        """A generator from which something is about to be drawn."""
        self.draws.append((purpose, rng.bit_generator.state["state"]["state"]))


class WatchedAvailability:
    """An availability that keeps a list of what it was asked about dropping out."""

    def __init__(self, client: int, watched: Availability, seen: Watched) -> None:
        self._client, self._watched, self._seen = client, watched, seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)

    def drops_out(self, *when: Any, **more: Any) -> Vanishing | None:
        """As the availability that is watched."""
        found = self._watched.drops_out(*when, **more)
        self._seen.vanishings.append((self._client, when, found))
        return found


class WatchedEncoder(PayloadEncoder):
    """PayloadEncoder that keep a list of what they are drawn by."""

    def __init__(
        self, watched: PayloadEncoder, transport: Transport, seen: Watched, cache: MemoryCache
    ):
        super().__init__(watched.policy, transport, cache, watched.memory)
        self._seen = seen

    def of(self, update: Update, context: EncodingContext, origin: str) -> EncodedUpdate:
        """As it is, and told."""
        self._seen.draws.append(("a policy's seed", context.seed))
        self._seen.note("encoding", context.rng)
        return super().of(update, context, origin)


@dataclass(frozen=True)
class WatchedFailures(PayloadFailures):
    """Failures of payloads that keep a list of their keys."""

    seen: Watched = field(default_factory=Watched)

    def corrupted(self, payload: bytes, *keys: int) -> bytes:
        """As it is, and told."""
        self.seen.draws.append(("corruption", keys))
        arrived = super().corrupted(payload, *keys)
        self.seen.damaged.append(arrived != payload)
        return arrived

    def duplicated(self, *keys: int) -> bool:
        """As it is, and told."""
        self.seen.draws.append(("duplication", keys))
        return super().duplicated(*keys)


def watched_transport(transport: Transport, seen: Watched) -> Transport:
    """A transport of the same kind that keeps a list of what packets are lost by."""
    kind = type(transport)

    def lost(self: Any, size: int, rng: np.random.Generator) -> Any:
        seen.note("loss", rng)
        return kind.lost(self, size, rng)

    options = {option.name: getattr(transport, option.name) for option in fields(transport)}
    return type(kind.__name__, (kind,), {"lost": lost})(**options)


class WatchedWorld(SimulatedWorld):
    """A simulated world that tells what is done with it.

    Attributes
    ----------
    seen
        What it was.
    """

    def __init__(self, loaded: LoadedScenario, learner: RecordedLearner) -> None:
        self.seen = Watched()
        self._recorded = learner
        self._number_of: dict[int, int] = {}
        self._processes: dict[int, simpy.Process] = {}
        self.people = self._watch(build_population(loaded))
        super().__init__(loaded, learner, population=self.people)
        run_context = self._run_context
        transport = watched_transport(run_context.uplink.transport, self.seen)
        self._run_context = replace(
            run_context,
            uplink=replace(run_context.uplink, transport=transport),
            encoder=WatchedEncoder(run_context.encoder, transport, self.seen, learner.cache),
            failures=WatchedFailures(
                run_context.failures.seed, run_context.failures.settings, seen=self.seen
            ),
        )

    def _watch(self, population: DrawnPopulation) -> DrawnPopulation:
        def draw(clients: Sequence[int]) -> list[ClientProfile]:
            population.prepare(clients)
            return [
                replace(
                    population[client],
                    availability=WatchedAvailability(
                        client, population[client].availability, self.seen
                    ),
                )
                for client in clients
            ]

        return DrawnPopulation(len(population), draw)

    def select(
        self, round_number: int, count: int, among: Sequence[int] | None = None
    ) -> list[int]:
        """As it is, and told."""
        chosen = super().select(round_number, count, among)
        busy = tuple(client for client in chosen if self._at_work(client))
        self.seen.chosen.append((self.env.now, count, tuple(chosen), busy))
        return chosen

    def start(self, client: int, round_number: int) -> simpy.Process:
        """As it is, and told."""
        availability, now = self.people[client].availability, self.env.now
        asking = Asking(
            client,
            round_number,
            now,
            was_there=availability.next_available(now) == now,
            at_work=self._at_work(client),
        )
        number = len(self.seen.askings)
        if number >= MOST_ASKINGS:
            raise NothingLeft(ENOUGH)
        self.seen.askings.append(asking)
        self._recorded.asking_of[client] = number
        process = self._processes[client] = super().start(client, round_number)
        assert process.callbacks is not None
        process.callbacks.append(lambda ended: self._answered(number, ended))
        return process

    def _at_work(self, client: int) -> bool:
        return client in self._processes and self._processes[client].is_alive

    def _answered(self, number: int, ended: simpy.Event) -> None:
        asking = self.seen.askings[number]
        if not ended.ok:
            return
        answer: ClientResult = ended.value
        asking.answered_s, asking.arrival = self.env.now, answer.arrival
        if answer.arrival is not None:
            self._number_of[id(answer.arrival)] = number

    def set_aside(self, arrivals: Sequence[ClientUpdate]) -> None:
        """As it is, and told."""
        with_them = self._using("set_aside", arrivals)
        super().set_aside(arrivals)
        self._used(with_them)

    def close_round(
        self, round_number: int, started: float, arrivals: Sequence[ClientUpdate], **more: Any
    ) -> None:
        """As it is, and told."""
        use = self._using("close_round", arrivals)
        super().close_round(round_number, started, arrivals, **more)
        self._used(use)

    def _using(self, how: str, arrivals: Sequence[ClientUpdate]) -> Use:
        numbers = tuple(self._number_of[id(arrival)] for arrival in arrivals)
        before = {name: np.copy(array) for name, array in self.adapter.items()}
        return Use(
            how, self.env.now, self.version, numbers, before, before, self.accounts.aggregated
        )

    def _used(self, use: Use) -> None:
        use.after = {name: np.copy(array) for name, array in self.adapter.items()}
        use.aggregated = self.accounts.aggregated - use.aggregated
        self.seen.uses.append(use)
